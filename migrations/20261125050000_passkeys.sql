-- The passkey gate of a pairing under way: what WhatsApp demands of the phone's owner, and what they have answered. A row
-- counts only under its epoch and while its account is `pending` without a device: whatever goes on or ends the pairing
-- ends it, too, in this release and in the one before.
CREATE TABLE passkeys (
    account_id uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    epoch      bigint NOT NULL,
    advice     text NOT NULL,
    options    json NOT NULL, -- WebAuthn request options, as WhatsApp sent them
    credential text, -- the owner's answer, until the session takes it
    presented  boolean NOT NULL DEFAULT false,
    code       text, -- shown by the phone, too, once WhatsApp took the answer
    confirmed  boolean NOT NULL DEFAULT false, -- the owner says that both codes are the same, until the session takes it
    updated_at timestamptz NOT NULL DEFAULT now()
);
