PRAGMA application_id = 1718382455;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE attempts (
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
        );
INSERT INTO "attempts" VALUES(1,1,'1.a','custom/m',1.79584733326698946947e+09,1.0,200,NULL,5,2,NULL,'req_1',0.0,0);
INSERT INTO "attempts" VALUES(1,2,'1.a','custom/m',1.79584733339198946953e+09,1.0,200,NULL,5,2,NULL,'req_2',0.0,0);
INSERT INTO "attempts" VALUES(1,3,'1.a','custom/m',1.79584733349710154535e+09,1.0,200,NULL,5,2,NULL,'req_3',0.0,0);
INSERT INTO "attempts" VALUES(1,1,'2.b','custom/m',1.79584733426698946951e+09,1.0,200,NULL,3,7,NULL,'req_4',0.0,0);
INSERT INTO "attempts" VALUES(1,2,'2.b','custom/m',1.79584733439198946953e+09,1.0,200,NULL,3,7,NULL,'req_5',0.0,0);
INSERT INTO "attempts" VALUES(1,3,'2.b','custom/m',1.79584733449710154534e+09,1.00000000000000022204e+00,200,NULL,3,7,NULL,'req_6',0.0,0);
INSERT INTO "attempts" VALUES(1,1,'3.c','custom/m',1.7958473352669894695e+09,1.0,200,NULL,3,1,NULL,'req_7',0.0,0);
INSERT INTO "attempts" VALUES(1,2,'3.c','custom/m',1.79584733539198946952e+09,1.0,200,NULL,3,1,NULL,'req_8',0.0,0);
INSERT INTO "attempts" VALUES(1,3,'3.c','custom/m',1.79584733549710154538e+09,1.0,200,NULL,3,1,NULL,'req_9',0.0,0);
INSERT INTO "attempts" VALUES(2,4,'1.said','custom/m',1.7958473334114491939e+09,1.0,200,NULL,1,1,NULL,'req_10',0.0,0);
INSERT INTO "attempts" VALUES(2,4,'2.loud','',1.79584733441144919394e+09,0.0,NULL,NULL,0,0,NULL,'',0.0,0);
INSERT INTO "attempts" VALUES(2,5,'1.said','custom/m',1.79584733353644919397e+09,1.0,200,NULL,1,1,NULL,'req_11',0.0,0);
INSERT INTO "attempts" VALUES(2,5,'2.loud','',1.79584733453644919401e+09,0.0,NULL,NULL,0,0,NULL,'',0.0,0);
INSERT INTO "attempts" VALUES(2,6,'1.said','custom/m',1.79584733364156126983e+09,1.0,200,NULL,1,1,NULL,'req_12',0.0,0);
INSERT INTO "attempts" VALUES(2,6,'2.loud','',1.79584733464156126973e+09,0.0,NULL,NULL,0,0,NULL,'',0.0,0);
INSERT INTO "attempts" VALUES(2,4,'3.end','custom/m',1.79584733441144919394e+09,1.0,200,NULL,2,2,NULL,'req_13',0.0,0);
INSERT INTO "attempts" VALUES(2,5,'3.end','custom/m',1.79584733453644919401e+09,1.0,200,NULL,2,2,NULL,'req_14',0.0,0);
INSERT INTO "attempts" VALUES(2,6,'3.end','custom/m',1.79584733464156126973e+09,1.00000000000000022204e+00,200,NULL,2,2,NULL,'req_15',0.0,0);
INSERT INTO "attempts" VALUES(3,8,'1.result','custom/m',1.79584733351386260989e+09,1.0,200,NULL,1,1,NULL,'req_16',0.0,0);
INSERT INTO "attempts" VALUES(3,7,'1.result','custom/m',1.79584733363886260982e+09,1.0,200,NULL,1,1,NULL,'req_17',0.0,0);
CREATE TABLE items (
            id INTEGER PRIMARY KEY,     -- in the order of the items, within a run
            run INTEGER NOT NULL,
            hash BLOB NOT NULL,         -- 16 bytes of the item's content or key
            input TEXT,                 -- its variables as JSON, while short
            input_zstd BLOB             -- the same as a zstd frame, else
        );
INSERT INTO "items" VALUES(1,1,X'ACB9635BCAD01F3961B772A6698A5A05','{"text":"one","meta":{"b":1,"a":2}}',NULL);
INSERT INTO "items" VALUES(2,1,X'8F3C2E5A6E73F29D159C8579AB2646B2','{"text":"two","meta":{"b":3,"a":4}}',NULL);
INSERT INTO "items" VALUES(3,1,X'8F3C2E5A6E73F29D159C8579AB2646B2','{"text":"two","meta":{"b":3,"a":4}}',NULL);
INSERT INTO "items" VALUES(4,2,X'ACB9635BCAD01F3961B772A6698A5A05','{"text":"one","meta":{"b":1,"a":2}}',NULL);
INSERT INTO "items" VALUES(5,2,X'8F3C2E5A6E73F29D159C8579AB2646B2','{"text":"two","meta":{"b":3,"a":4}}',NULL);
INSERT INTO "items" VALUES(6,2,X'8F3C2E5A6E73F29D159C8579AB2646B2','{"text":"two","meta":{"b":3,"a":4}}',NULL);
INSERT INTO "items" VALUES(7,3,X'371241E495B54B1A9C2113C9DB6862DF','{"photo":"b.png"}',NULL);
INSERT INTO "items" VALUES(8,3,X'26B90FBA1622B643CAE696AE13CA8ECB','{"photo":"a.png"}',NULL);
CREATE TABLE results (
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
        );
INSERT INTO "results" VALUES(1,2,'"2}"',NULL,NULL,NULL,'custom/m',1.79584733326698946947e+09,3.0,3,11,10,0,NULL);
INSERT INTO "results" VALUES(2,2,'"4}"',NULL,NULL,NULL,'custom/m',1.79584733326698946947e+09,3.125,3,11,10,0,NULL);
INSERT INTO "results" VALUES(3,2,'"4}"',NULL,NULL,NULL,'custom/m',1.79584733326698946947e+09,3.23011205190671457643e+00,3,11,10,0,NULL);
INSERT INTO "results" VALUES(4,2,'"end ONE"',NULL,NULL,NULL,'custom/m',1.7958473334114491939e+09,2.0,3,3,3,0,NULL);
INSERT INTO "results" VALUES(5,2,'"end TWO"',NULL,NULL,NULL,'custom/m',1.7958473334114491939e+09,2.125,3,3,3,0,NULL);
INSERT INTO "results" VALUES(6,2,'"end TWO"',NULL,NULL,NULL,'custom/m',1.7958473334114491939e+09,2.23011205190671457643e+00,3,3,3,0,NULL);
INSERT INTO "results" VALUES(7,2,'"Say"',NULL,NULL,NULL,'custom/m',1.79584733351386260989e+09,1.125,1,1,1,0,NULL);
INSERT INTO "results" VALUES(8,2,'"Say"',NULL,NULL,NULL,'custom/m',1.79584733351386260989e+09,1.0,1,1,1,0,NULL);
CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            fingerprint BLOB NOT NULL,  -- 16 bytes that tell the runner's definition from others
            definition TEXT,            -- the runner as JSON; NULL where it can't be written down
            obstacle TEXT,              -- why it can't
            source TEXT,                -- where the items come from, as JSON; NULL where only Python knows
            settings TEXT NOT NULL,     -- what the pool was told, as JSON
            steps TEXT NOT NULL,        -- hex fingerprints of the steps' definitions, separated by spaces
            complete INTEGER NOT NULL DEFAULT 0, -- 1 once every item of the source stands in items
            reason TEXT NOT NULL DEFAULT '',     -- why the last run of it ended before its end
            created REAL NOT NULL,      -- seconds since 1970
            updated REAL NOT NULL,
            UNIQUE (name, fingerprint)
        );
INSERT INTO "runs" VALUES(1,'chain',X'24467DA64A7F37F9307A9C54C718FBDA','{"name":"chain","steps":[{"skill":{"name":"first","model":{"name":"m","base_url":"http://sim.test/v1"},"prompt":"{text} {meta}"},"key":"a"},{"skill":{"model":{"name":"m","base_url":"http://sim.test/v1"},"prompt":"say {a}","output":{"fields":{"said":"string","by":"string"}}},"key":"b","options":{"retries":1}},{"skill":{"model":{"name":"m","base_url":"http://sim.test/v1"},"prompt":"the end: {c}"},"key":"c","inputs":{"c":"said"}}]}',NULL,NULL,'{"variables":{},"max_flows":null,"timeout":null,"retries":null,"limits":null,"deadline":null,"on_error":"collect","max_cost":null,"max_tokens_total":null,"dedupe":false,"tracing":null}','a4a1e74d77d6ba3d9083a8237dd0e0c6 21ab56abec1e73b2bed3dab25c63d8e1 2ae448a867ae93c3df4ccba59e6e757b',1,'',1.79584733325839304924e+09,1.7958473333571026325e+09);
INSERT INTO "runs" VALUES(2,'chain',X'8A08D222B1D9CC30BF7A38D1EC15C9F9','{"name":"chain","steps":[{"skill":{"model":{"name":"m","base_url":"http://sim.test/v1"},"prompt":"{text}"},"key":"said"},{"function":"tests.checkpoint.earlier_work:shout","key":"loud"},{"skill":{"model":{"name":"m","base_url":"http://sim.test/v1"},"prompt":"end {loud}"},"key":"end"}]}',NULL,NULL,'{"variables":{},"max_flows":null,"timeout":null,"retries":null,"limits":null,"deadline":null,"on_error":"collect","max_cost":null,"max_tokens_total":null,"dedupe":false,"tracing":null}','aefbdf7b2e504261263e6959dca84085 40aa2d2f692b788cb7ac35ca86b1c891 e82e78bed8776b085c63d6e5181cd817',1,'',1.79584733340578460696e+09,1.79584733347173476224e+09);
INSERT INTO "runs" VALUES(3,'skill',X'C004DEC60C2C19BC6109A5DE2C465D43','{"model":{"name":"m","base_url":"http://sim.test/v1"},"prompt":["Say",{"image":"a.png"},{"image":"{photo}"}]}',NULL,NULL,'{"variables":{},"max_flows":null,"timeout":null,"retries":null,"limits":null,"deadline":null,"on_error":"collect","max_cost":null,"max_tokens_total":null,"dedupe":false,"tracing":null}','24a766a7bc15c75efd244d19b206572b',1,'',1.79584733351002192496e+09,1.79584733354199838637e+09);
CREATE TABLE steps (
            item INTEGER NOT NULL,
            step TEXT NOT NULL,         -- its place in the chain, such as 1 or 1.0 and its key
            call BLOB NOT NULL,         -- 16 bytes of the step's definition and inputs
            output TEXT,
            output_zstd BLOB,
            PRIMARY KEY (item, step)
        );
INSERT INTO "steps" VALUES(1,'1.a',X'60A74C68257C15EFE276C1FD8B780566','"1,\"a\":2}"',NULL);
INSERT INTO "steps" VALUES(2,'1.a',X'3A624C86915F02F30EE79903FC1E1B9A','"3,\"a\":4}"',NULL);
INSERT INTO "steps" VALUES(3,'1.a',X'3A624C86915F02F30EE79903FC1E1B9A','"3,\"a\":4}"',NULL);
INSERT INTO "steps" VALUES(1,'2.b',X'C35683F67909B3604FA60D17124CF172','{"said":"2}","by":"2}"}',NULL);
INSERT INTO "steps" VALUES(2,'2.b',X'547A4371A4F698F66E354AC2A326FF46','{"said":"4}","by":"4}"}',NULL);
INSERT INTO "steps" VALUES(3,'2.b',X'547A4371A4F698F66E354AC2A326FF46','{"said":"4}","by":"4}"}',NULL);
INSERT INTO "steps" VALUES(1,'3.c',X'B7147924443A2AB72A0D2891AB0C087D','"2}"',NULL);
INSERT INTO "steps" VALUES(2,'3.c',X'7C7E3DE8AEB6F802C407849803CCBBD1','"4}"',NULL);
INSERT INTO "steps" VALUES(3,'3.c',X'7C7E3DE8AEB6F802C407849803CCBBD1','"4}"',NULL);
INSERT INTO "steps" VALUES(4,'1.said',X'BFB05E1A811C973BEAD6DD6A043F94C5','"one"',NULL);
INSERT INTO "steps" VALUES(4,'2.loud',X'03570E368800C75DF219F29D57317C8A','"ONE"',NULL);
INSERT INTO "steps" VALUES(5,'1.said',X'84542B5027584E0A7C201E3920FAA044','"two"',NULL);
INSERT INTO "steps" VALUES(5,'2.loud',X'28B32ECD41DD354BA429C40502A8116B','"TWO"',NULL);
INSERT INTO "steps" VALUES(6,'1.said',X'84542B5027584E0A7C201E3920FAA044','"two"',NULL);
INSERT INTO "steps" VALUES(6,'2.loud',X'28B32ECD41DD354BA429C40502A8116B','"TWO"',NULL);
INSERT INTO "steps" VALUES(4,'3.end',X'BADA2251C088DED1526E2E0351A50DE3','"end ONE"',NULL);
INSERT INTO "steps" VALUES(5,'3.end',X'AE2127BD2041C855D50CC2DC9140B856','"end TWO"',NULL);
INSERT INTO "steps" VALUES(6,'3.end',X'AE2127BD2041C855D50CC2DC9140B856','"end TWO"',NULL);
COMMIT;
