"""The store's tables, and how an older file is brought to them. `docs/store.md` explains them to readers."""

from __future__ import annotations

# "flow" in ASCII: tells our files from other SQLite ones.
APPLICATION_ID = 0x666C6F77

# Each entry takes a file from the version of its position to the next one, in one transaction.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            fingerprint BLOB NOT NULL,  -- 16 bytes that tell the runner's definition from others
            definition TEXT,            -- the runner as JSON; NULL where it can't be written down
            obstacle TEXT,              -- why it can't
            source TEXT,                -- where the items come from, as JSON; NULL where only Python knows
            settings TEXT NOT NULL,     -- the pool's settings, as JSON
            steps TEXT NOT NULL,        -- hex fingerprints of the steps' definitions, separated by spaces
            complete INTEGER NOT NULL DEFAULT 0, -- 1 once every item of the source stands in items
            reason TEXT NOT NULL DEFAULT '',     -- why the last run of it ended before its end
            created REAL NOT NULL,      -- seconds since 1970
            updated REAL NOT NULL,
            UNIQUE (name, fingerprint)
        )""",
        """CREATE TABLE items (
            id INTEGER PRIMARY KEY,     -- in the order of the items, within a run
            run INTEGER NOT NULL,
            hash BLOB NOT NULL,         -- 16 bytes of the item's content or key
            input TEXT,                 -- its variables as JSON, while short
            input_zstd BLOB             -- the same as a zstd frame, else
        )""",
        """CREATE TABLE results (
            item INTEGER PRIMARY KEY,
            status INTEGER NOT NULL,    -- 2 done, 3 failed; items without a row are still to do
            output TEXT,                -- as JSON, while short
            output_zstd BLOB,           -- the same as a zstd frame, else
            error TEXT,                 -- the error's type
            message TEXT,               -- and what it says
            model TEXT NOT NULL,        -- provider/model that answered
            started REAL NOT NULL,      -- seconds since 1970
            seconds REAL NOT NULL,      -- from the item's start to its end
            attempts INTEGER NOT NULL,  -- requests and function calls
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            cached_input_tokens INTEGER NOT NULL,
            cost REAL                   -- dollars by the price list; NULL where no price is known
        )""",
        """CREATE TABLE steps (
            item INTEGER NOT NULL,
            step TEXT NOT NULL,         -- its path in the chain, such as 1 or 1.0 and its key
            call BLOB NOT NULL,         -- 16 bytes of the step's definition and inputs
            output TEXT,
            output_zstd BLOB,
            PRIMARY KEY (item, step)
        )""",
        """CREATE TABLE attempts (
            run INTEGER NOT NULL,
            item INTEGER NOT NULL,
            step TEXT NOT NULL,
            model TEXT NOT NULL,
            started REAL NOT NULL,      -- seconds since 1970
            seconds REAL NOT NULL,
            status INTEGER,             -- HTTP status; NULL where none came
            error TEXT,                 -- the error's type; NULL for an answer
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            cost REAL,                  -- dollars; NULL where no price is known
            request_id TEXT NOT NULL,
            unknown_cost REAL NOT NULL, -- the most that it may have cost, where its end was not seen under
            unknown_tokens INTEGER NOT NULL -- a ceiling
        )""",
    ),
    (
        # Seconds of an attempt: before it was sent, it waited for
        "ALTER TABLE attempts ADD COLUMN slot_wait REAL NOT NULL DEFAULT 0",  # a slot among the calls in flight,
        "ALTER TABLE attempts ADD COLUMN limit_wait REAL NOT NULL DEFAULT 0",  # its turn within a rate limit,
        "ALTER TABLE attempts ADD COLUMN budget_wait REAL NOT NULL DEFAULT 0",  # money that others had set aside,
        "ALTER TABLE attempts ADD COLUMN backoff REAL NOT NULL DEFAULT 0",  # after the failure before;
        "ALTER TABLE attempts ADD COLUMN connect REAL NOT NULL DEFAULT 0",  # within it: for a connection,
        "ALTER TABLE attempts ADD COLUMN first_byte REAL NOT NULL DEFAULT 0",  # and till the answer began
        """CREATE TABLE events (
            run INTEGER NOT NULL,
            at REAL NOT NULL,           -- seconds since 1970
            kind TEXT NOT NULL,         -- begin, sample, bottleneck, lane, change, end
            data TEXT NOT NULL          -- what it says, as JSON
        )""",
        "CREATE INDEX events_by_run ON events (run, at)",
    ),
)
VERSION = len(MIGRATIONS)
