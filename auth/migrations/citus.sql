-- Spreads the tables over the workers of a Citus cluster. Run it once, as the owner of the tables,
-- after the migrations and before there is much data; without Citus nothing of it is needed.
--
-- Everything of a player lives in the same shard, so that a transaction about a player, a refresh
-- above all, is one worker's own. Only making and removing an account, and giving or taking an
-- identity, touch two shards and cost a two-phase commit.

-- By its hash, which is all that a sign-in knows.
SELECT create_distributed_table('identities', 'identity_hash', colocate_with => 'none');

SELECT create_distributed_table('users', 'user_id', colocate_with => 'none');
SELECT create_distributed_table('user_identities', 'user_id', colocate_with => 'users');
SELECT create_distributed_table('devices', 'user_id', colocate_with => 'users');
SELECT create_distributed_table('passkeys', 'user_id', colocate_with => 'users');
SELECT create_distributed_table('recovery_codes', 'user_id', colocate_with => 'users');
SELECT create_distributed_table('sessions', 'user_id', colocate_with => 'users');
SELECT create_distributed_table('refresh_families', 'user_id', colocate_with => 'users');
SELECT create_distributed_table('one_time_secrets', 'user_id', colocate_with => 'users');
SELECT create_distributed_table('revocations', 'user_id', colocate_with => 'users');
SELECT create_distributed_table('audit_log', 'user_id', colocate_with => 'users');

-- On every worker.
SELECT create_reference_table('signing_keys');
SELECT create_reference_table('pinned_keys');
