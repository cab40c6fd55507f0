CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL,       -- synth_assets.core.identity.request_id
    messages TEXT NOT NULL,       -- JSON: [{role, content}]; empty: put away, the lake has it
    parameters TEXT NOT NULL,     -- JSON: {api, sampling, schema, seed, replicate}
    model TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    text TEXT,
    thoughts TEXT,                -- what a reasoning model wrote before the text; null: nothing
    finish_reason TEXT,
    logprobs TEXT,                -- JSON: [[token, logprob, {token: logprob}]]
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    tokens_from TEXT,             -- who counted: provider, or estimated; null: nobody
    cost REAL,                    -- US dollars; null: the price or a token count is not known
    latency_s REAL,
    attempts INTEGER NOT NULL,
    error TEXT,
    run_id TEXT,
    asset TEXT,
    partition_key TEXT,
    time TEXT NOT NULL,           -- ISO 8601, UTC
    digest TEXT                   -- hash of the answer; null: the row is older than these
)

CREATE INDEX IF NOT EXISTS calls_identity ON calls (identity)

CREATE INDEX IF NOT EXISTS calls_put_away ON calls (id) WHERE messages = ''

CREATE TABLE IF NOT EXISTS claims (  -- requests in flight: who asks, and until when that holds
    identity TEXT PRIMARY KEY,
    process TEXT NOT NULL,
    until REAL NOT NULL           -- seconds since 1970
)

CREATE TABLE IF NOT EXISTS budget (  -- see synth_assets.resources.gateway.budget
    scope TEXT PRIMARY KEY,
    amount INTEGER NOT NULL       -- tokens, or billionths of a dollar: spent and reserved
)

CREATE TABLE IF NOT EXISTS rate (  -- see synth_assets.resources.gateway.pace
    scope TEXT PRIMARY KEY,
    until REAL NOT NULL           -- seconds since 1970: the rate is used up until then
)

CREATE TABLE IF NOT EXISTS batches (  -- see synth_assets.resources.gateway.batches.submit
    key TEXT PRIMARY KEY,
    provider_id TEXT,             -- null: the provider has not said yet that it exists
    status TEXT NOT NULL,
    process TEXT,                 -- who creates it; null: nobody any more
    model TEXT NOT NULL,          -- JSON: how to reach it, and what it costs in a batch
    endpoint TEXT NOT NULL,
    caps TEXT NOT NULL,           -- JSON: the budget's caps that it counts under
    run_id TEXT,
    asset TEXT NOT NULL,
    partition_key TEXT NOT NULL,
    time REAL NOT NULL            -- seconds since 1970: when the provider was asked to create it
)

CREATE TABLE IF NOT EXISTS batched (  -- the requests of batches
    batch TEXT NOT NULL,
    identity TEXT NOT NULL,
    request TEXT NOT NULL,        -- JSON: messages, parameters, schema
    reserved TEXT NOT NULL,       -- JSON: billionths of a dollar, tokens
    spent INTEGER,                -- attempts; null: it is with the provider
    PRIMARY KEY (batch, identity)
)

CREATE INDEX IF NOT EXISTS batched_identity ON batched (identity)
