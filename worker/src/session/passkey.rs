//! WhatsApp's passkey gate, between a scan and the link: tells what the phone's owner must do, and passes on their
//! answer.

use store::passkeys;

use super::actor::{Actor, Reported};
use super::machine::event::{Event, Passkey};
use crate::link::LinkError;

const PRESENT: &str = "WhatsApp asks for the account's passkey: answer `passkey_options` with it (WebAuthn, as the page \
     https://web.whatsapp.com) and post the credential to `pair/passkey`. Or remove the passkey in the phone's WhatsApp \
     (Settings, Account, Passkeys) and pair again";
const COMPARE: &str = "Compare `passkey_code` with the code on the phone. If both are the same, post to `pair/passkey/confirm`; \
     if not, somebody stands in between: unpair";

impl Actor {
    pub(super) async fn advise(&mut self, wanted: Passkey) {
        self.write("tell what to do", |context, fence| {
            let wanted = wanted.clone();
            async move {
                match wanted {
                    Passkey::Present(options) => passkeys::demand(context.store.under(fence), &options, PRESENT).await,
                    Passkey::Compare(code) => passkeys::show_code(context.store.under(fence), &code, COMPARE).await,
                }
            }
        })
        .await;
    }

    /// Takes the owner's answer out of the row and sends it to WhatsApp.
    pub(super) async fn answer_passkey(&mut self) {
        let Some(link) = self.connection.link() else { return };
        let taken = self
            .persist("take the passkey's answer", |context, fence| async move {
                let credential = passkeys::take_credential(context.store.under(fence)).await?;
                Ok((credential, passkeys::take_confirmation(context.store.under(fence)).await?))
            })
            .await;
        match taken {
            Err(loss) => self.queue.push_back(Event::Lost(loss)),
            Ok((Some(credential), _)) => {
                self.pending.push(Box::pin(async move { Reported::Passkey(link.present_passkey(&credential).await) }))
            }
            Ok((None, true)) => {
                self.pending.push(Box::pin(async move { Reported::Passkey(link.confirm_passkey().await) }));
            }
            Ok((None, false)) => {}
        }
    }

    pub(super) fn passkey_taken(&mut self, taken: Result<(), LinkError>) {
        if let Err(error) = taken {
            self.queue.push_back(Event::PairFailed(error.to_string()));
        }
    }
}
