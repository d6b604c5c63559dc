-- Accounts: names that have a password; and whom a direct was for.

create sequence account_numbers;
comment on sequence account_numbers is 'A name that becomes an account gets a new number, also if it was one before';

alter table users add account bigint unique;
comment on column users.account is 'The number of the account; null: a guest';
comment on column users.registered_at is 'Since when it is an account; null: a guest';
update users set account = nextval('account_numbers') where password_hash is not null;
alter table users add constraint account_has_password check (num_nulls(account, password_hash) in (0, 2));

alter table messages add recipient_holder text, add sender_holder text;
comment on column messages.recipient_holder is
  'Directs only: who held the recipient''s name then: a:N (an account), the digest of a guest''s key, or a guest''s session';
comment on column messages.sender_holder is 'Directs only: who held the sender''s name then, in the same form';

grant update (password_hash, account, registered_at) on users to hubbub_store;
grant usage on sequence account_numbers to hubbub_store;
