-- The oldest queued message of each chat is found at once, however many are queued to one chat or to all of them.
SET LOCAL lock_timeout = '2s';
CREATE INDEX messages_outbox_chats ON messages (account_id, chat, seq) WHERE state = 'queued';
