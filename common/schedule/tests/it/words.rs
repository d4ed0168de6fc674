//! R42: recurrences in words.

use schedule::summary;

/// R42: in words.
#[test]
fn words() {
    for (rrule, expected) in [
        (None, "Once"),
        (Some("FREQ=WEEKLY;BYDAY=MO,WE,FR"), "Every Mon, Wed, Fri"),
        (Some("FREQ=WEEKLY;INTERVAL=2;UNTIL=20270101T235959"), "Every 2 weeks until 2027-01-01"),
        (Some("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO"), "Every 2 weeks on Mon"),
        (Some("FREQ=DAILY;COUNT=5"), "Every day, 5 times"),
        (Some("FREQ=MONTHLY;BYMONTHDAY=-1"), "Every month on the last day"),
        (Some("FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=15"), "Every 3 months on day 15"),
        (Some("FREQ=YEARLY"), "Every year"),
        (Some("FREQ=MONTHLY;BYDAY=1MO"), "On the first Monday of every month"),
        (Some("FREQ=MONTHLY;BYDAY=2MO"), "On the second Monday of every month"),
        (Some("FREQ=MONTHLY;INTERVAL=2;BYDAY=-1SU,1SU"), "On the last Sunday, first Sunday of every 2 months"),
        (Some("FREQ=MONTHLY;BYDAY=-2MO;COUNT=6"), "On the second to last Monday of every month, 6 times"),
        (Some("FREQ=MONTHLY;INTERVAL=2;BYDAY=TU"), "Every 2 months on Tue"),
        (Some("FREQ=MONTHLY;BYMONTHDAY=2,15"), "Every month on day 2, 15"),
        (Some("FREQ=MONTHLY;BYMONTHDAY=-3,1,2,3"), "Every month on day 1 to 3, the third to last day"),
        (Some("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13"), "Every month on Fri, only on day 13"),
        (Some("FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3"), "Every month on Tue, Wed, Thu, only the third of them"),
        (Some("FREQ=YEARLY;BYDAY=20MO"), "On the 20th Monday of every year"),
        (Some("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH"), "On the fourth Thursday of every year in November"),
        (Some("FREQ=YEARLY;BYMONTH=6,7"), "Every year in June, July"),
        (
            Some("FREQ=YEARLY;INTERVAL=3;BYYEARDAY=-1,1,100"),
            "Every 3 years on the last day, day 1, day 100 of the year",
        ),
        (Some("FREQ=YEARLY;BYWEEKNO=-1,20;BYDAY=MO"), "Every year on Mon in the last week, week 20"),
        (Some("FREQ=HOURLY"), "Every hour"),
        (Some("FREQ=HOURLY;INTERVAL=3;UNTIL=20270101T170000"), "Every 3 hours until 2027-01-01 17:00"),
        (Some("FREQ=HOURLY;BYHOUR=9,10,11,12;BYMINUTE=0,30"), "Every hour at minute 0, 30 in the hours 9 to 12"),
        (Some("FREQ=MINUTELY;INTERVAL=30"), "Every 30 minutes"),
        (Some("FREQ=MINUTELY;INTERVAL=20;BYHOUR=9;BYDAY=MO"), "Every 20 minutes on Mon in hour 9"),
        (Some("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=0"), "Every day at 09:00, 17:00"),
        (Some("FREQ=DAILY;BYMONTH=1;COUNT=1"), "Every day in January, once"),
        (Some("FREQ=NEVERLY"), "Custom: FREQ=NEVERLY"),
    ] {
        assert_eq!(summary::of_rrule(rrule), expected);
    }
}
