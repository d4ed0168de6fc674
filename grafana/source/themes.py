"""Every file of rules on one page."""

from . import delivery, ownership, processes, reminders, slo, stores, webhooks

THEMES = [
    slo.THEME,
    slo.MONTH,
    ownership.THEME,
    delivery.THEME,
    reminders.THEME,
    webhooks.THEME,
    stores.POSTGRES_THEME,
    stores.REDIS_THEME,
    processes.THEME,
]
