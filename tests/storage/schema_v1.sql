-- A database as version 1 of the schema left it, with rows in every table.
BEGIN TRANSACTION;
CREATE TABLE bars (
    symbol TEXT NOT NULL,
    interval_ns INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume REAL NOT NULL,
    history INTEGER NOT NULL,
    PRIMARY KEY (symbol, interval_ns, ts)
) STRICT, WITHOUT ROWID;
INSERT INTO "bars" VALUES('AAPL',60000000000,1767623460000000000,180.0,181.0,179.5,180.5,1200.0,1);
INSERT INTO "bars" VALUES('AAPL',60000000000,1767623580000000000,180.5,181.5,180.25,181.0,900.0,0);
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    strategy TEXT NOT NULL,
    order_id TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    reason TEXT NOT NULL,
    steps TEXT NOT NULL
) STRICT;
INSERT INTO "decisions" VALUES(1,'20260105-1',5,1767623580000000000,'AAPL','ma_crossover','20260105-1-1','BUY',100,'twap','ok','{"risk_usd":1000.0}');
CREATE TABLE equity (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    cash TEXT NOT NULL,
    value TEXT NOT NULL,
    start TEXT NOT NULL,
    realised TEXT NOT NULL,
    unrealised TEXT NOT NULL
) STRICT;
INSERT INTO "equity" VALUES(1,'20260105-1',1767623640000000000,'87191.80','12810.00','100000','-1.00','2.80');
CREATE TABLE features (
    symbol TEXT NOT NULL,
    version TEXT NOT NULL,
    ts INTEGER NOT NULL,
    "values" BLOB NOT NULL,
    PRIMARY KEY (symbol, version, ts)
) STRICT, WITHOUT ROWID;
INSERT INTO "features" VALUES('AAPL','v1',1767623580000000000,X'000102030405060708090A0B0C0D0E0F');
CREATE TABLE fills (
    exec_id TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    price TEXT NOT NULL,
    commission TEXT
) STRICT;
INSERT INTO "fills" VALUES('0000.09','yesterday-3.1','20260105-1',1767623400000000000,'MSFT','BUY',10,'400.25','1.00');
INSERT INTO "fills" VALUES('0001.01','20260105-1-1.1','20260105-1',1767623640000000000,'AAPL','BUY',60,'180.12','1.00');
CREATE TABLE halts (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    halted INTEGER NOT NULL,
    reason TEXT NOT NULL,
    by TEXT NOT NULL
) STRICT;
INSERT INTO "halts" VALUES(1,'20260105-1',1767623820000000000,1,'enough for today','user');
INSERT INTO "halts" VALUES(2,'20260105-1',1767623880000000000,0,'looked at it','user');
INSERT INTO "halts" VALUES(3,'20260105-1',1767623940000000000,1,'enough','operator');
CREATE TABLE jobs (
    name TEXT PRIMARY KEY,
    last_run INTEGER,
    next_run INTEGER,
    state TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO "jobs" VALUES('desk',1,NULL,'alive','20260105-1');
CREATE TABLE journal (
    session_id TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    event TEXT NOT NULL,
    step TEXT NOT NULL,
    PRIMARY KEY (session_id, seq)
) STRICT;
INSERT INTO "journal" VALUES('20260105-1',1,1767623400000000000,'{"kind":"AccountSnapshot","ts":1767623400000000000,"account":"DU1234567","cash":"95997.50","net_liquidation":"100000","holdings":[{"kind":"Holding","symbol":"MSFT","quantity":10,"lots":[{"kind":"Lot","quantity":10,"price":"400.25"}],"broker_quantity":10}],"orders":[{"kind":"OpenOrder","order":{"kind":"Order","id":"yesterday-4.2","parent_id":"yesterday-4","symbol":"MSFT","side":"SELL","quantity":5,"type":"LMT","limit_price":"410.50","algorithm":"market","reason":""},"filled":2,"broker_id":77,"status":"partial","alive":true}],"fills":[{"kind":"Fill","ts":1767623400000000000,"order_id":"yesterday-3.1","exec_id":"0000.09","symbol":"MSFT","side":"BUY","quantity":10,"price":"400.25","commission":"1.00"}],"day":"","day_start":null}','{"commands":[],"facts":[]}');
INSERT INTO "journal" VALUES('20260105-1',2,1767623460000000000,'{"kind":"Bar","symbol":"AAPL","ts":1767623460000000000,"open":180.0,"high":181.0,"low":179.5,"close":180.5,"volume":1200.0,"interval_ns":60000000000,"history":true}','{"commands":[],"facts":[]}');
INSERT INTO "journal" VALUES('20260105-1',3,1767623520000000000,'{"kind":"Quote","symbol":"AAPL","ts":1767623520000000000,"bid":180.11,"ask":180.13,"bid_size":300.0,"ask_size":200.0}','{"commands":[],"facts":[]}');
INSERT INTO "journal" VALUES('20260105-1',4,1767623520000000000,'{"kind":"Trade","symbol":"AAPL","ts":1767623520000000000,"price":180.12,"size":100.0}','{"commands":[],"facts":[]}');
INSERT INTO "journal" VALUES('20260105-1',5,1767623580000000000,'{"kind":"Bar","symbol":"AAPL","ts":1767623580000000000,"open":180.5,"high":181.5,"low":180.25,"close":181.0,"volume":900.0,"interval_ns":60000000000,"history":false}','{"commands":[{"kind":"Submit","order":{"kind":"Order","id":"20260105-1-1.1","parent_id":"20260105-1-1","symbol":"AAPL","side":"BUY","quantity":100,"type":"MKT","limit_price":null,"algorithm":"twap","reason":"cross up"}},{"kind":"SetTimer","ts":1767623700000000000,"key":"20260105-1-1:slice"}],"facts":[{"kind":"FeatureRow","ts":1767623580000000000,"symbol":"AAPL","version":"v1","values":"AAECAwQFBgcICQoLDA0ODw=="},{"kind":"Signal","ts":1767623580000000000,"symbol":"AAPL","strategy":"ma_crossover","direction":1,"strength":0.75,"reason":"5 over 20","probability":0.66,"model":"ensemble-1"},{"kind":"Abstained","ts":1767623580000000000,"symbol":"MSFT","strategy":"ml","reason":"below 0.65","probability":0.52},{"kind":"Decision","ts":1767623580000000000,"symbol":"AAPL","strategy":"ma_crossover","order_id":"20260105-1-1","side":"BUY","quantity":100,"algorithm":"twap","reason":"ok","steps":{"risk_usd":1000.0}}]}');
INSERT INTO "journal" VALUES('20260105-1',6,1767623580000000000,'{"kind":"OrderUpdate","ts":1767623580000000000,"order_id":"20260105-1-1.1","status":"working","filled":0,"remaining":100,"broker_id":4711,"reason":""}','{"commands":[],"facts":[{"kind":"OrderChanged","ts":1767623580000000000,"order_id":"20260105-1-1.1","status":"working","filled":0,"broker_id":4711,"reason":""}]}');
INSERT INTO "journal" VALUES('20260105-1',7,1767623640000000000,'{"kind":"Fill","ts":1767623640000000000,"order_id":"20260105-1-1.1","exec_id":"0001.01","symbol":"AAPL","side":"BUY","quantity":60,"price":"180.12","commission":null}','{"commands":[],"facts":[{"kind":"PositionChanged","ts":1767623640000000000,"symbol":"AAPL","quantity":60,"lots":[{"kind":"Lot","quantity":60,"price":"180.12"}],"realised":"-1.00"},{"kind":"OrderChanged","ts":1767623640000000000,"order_id":"20260105-1-1.1","status":"partial","filled":60,"broker_id":0,"reason":""},{"kind":"Equity","ts":1767623640000000000,"cash":"87191.80","value":"12810.00","start":"100000","realised":"-1.00","unrealised":"2.80"}]}');
INSERT INTO "journal" VALUES('20260105-1',8,1767623640000000000,'{"kind":"Fill","ts":1767623640000000000,"order_id":"20260105-1-1.1","exec_id":"0001.01","symbol":"AAPL","side":"BUY","quantity":60,"price":"180.12","commission":"1.00"}','{"commands":[],"facts":[]}');
INSERT INTO "journal" VALUES('20260105-1',9,1767623700000000000,'{"kind":"Timer","ts":1767623700000000000,"key":"20260105-1-1:slice"}','{"commands":[{"kind":"Modify","order":{"kind":"Order","id":"20260105-1-1.1","parent_id":"20260105-1-1","symbol":"AAPL","side":"BUY","quantity":80,"type":"LMT","limit_price":"181.01","algorithm":"market","reason":""}}],"facts":[{"kind":"Denied","ts":1767623700000000000,"order_id":"20260105-1-1.2","symbol":"AAPL","gate":"daily_loss","reason":"too much lost","value":-1200.0,"limit":-1000.0},{"kind":"Denied","ts":1767623700000000000,"order_id":"20260105-1-1.3","symbol":"AAPL","gate":"heat","reason":"volatility unknown","value":null,"limit":null}]}');
INSERT INTO "journal" VALUES('20260105-1',10,1767623760000000000,'{"kind":"FeedStatus","ts":1767623760000000000,"symbol":"MSFT","state":"stale","detail":"no bar for 3 minutes"}','{"commands":[],"facts":[{"kind":"Anomaly","ts":1767623760000000000,"symbol":"MSFT","what":"a foreign fill"},{"kind":"Mismatch","ts":1767623760000000000,"symbol":"MSFT","ours":10,"broker":8}]}');
INSERT INTO "journal" VALUES('20260105-1',11,1767623820000000000,'{"kind":"Halt","ts":1767623820000000000,"reason":"enough for today","by":"user"}','{"commands":[{"kind":"Cancel","order_id":"20260105-1-1.1"}],"facts":[{"kind":"Halted","ts":1767623820000000000,"reason":"enough for today","by":"user"}]}');
INSERT INTO "journal" VALUES('20260105-1',12,1767623880000000000,'{"kind":"Resume","ts":1767623880000000000,"reason":"looked at it","by":"user"}','{"commands":[],"facts":[{"kind":"Resumed","ts":1767623880000000000,"reason":"looked at it","by":"user"}]}');
INSERT INTO "journal" VALUES('20260105-1',13,1767623940000000000,'{"kind":"Halt","ts":1767623940000000000,"reason":"enough","by":"operator"}','{"commands":[],"facts":[{"kind":"Halted","ts":1767623940000000000,"reason":"enough","by":"operator"}]}');
CREATE TABLE models (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    path TEXT NOT NULL,
    verdict TEXT NOT NULL,
    loaded INTEGER NOT NULL,
    PRIMARY KEY (name, version, sha256)
) STRICT;
INSERT INTO "models" VALUES('ensemble','v1','abababababababababababababababababababababababababababababababab','trained_models/v1','AUC 0.55',1);
CREATE TABLE orders (
    id TEXT NOT NULL UNIQUE,
    parent_id TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    type TEXT NOT NULL,
    limit_price TEXT,
    algorithm TEXT NOT NULL,
    reason TEXT NOT NULL,
    status TEXT NOT NULL,
    filled INTEGER NOT NULL,
    broker_id INTEGER NOT NULL,
    message TEXT NOT NULL DEFAULT '',
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
INSERT INTO "orders" VALUES('yesterday-4.2','yesterday-4','20260105-1','MSFT','SELL',5,'LMT','410.50','market','','partial',2,77,'',1767623400000000000,1767623400000000000);
INSERT INTO "orders" VALUES('20260105-1-1.1','20260105-1-1','20260105-1','AAPL','BUY',80,'MKT','181.01','twap','cross up','partial',60,4711,'',1767623580000000000,1767623700000000000);
CREATE TABLE positions (
    symbol TEXT PRIMARY KEY,
    quantity INTEGER NOT NULL,
    lots TEXT NOT NULL,
    realised TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    updated INTEGER NOT NULL
) STRICT;
INSERT INTO "positions" VALUES('MSFT',10,'[{"kind":"Lot","quantity":10,"price":"400.25"}]','0','20260105-1',1767623400000000000);
INSERT INTO "positions" VALUES('AAPL',60,'[{"kind":"Lot","quantity":60,"price":"180.12"}]','-1.00','20260105-1',1767623640000000000);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    started INTEGER NOT NULL,
    opened INTEGER,
    ended INTEGER,
    mode TEXT NOT NULL,
    account TEXT NOT NULL,
    symbols TEXT NOT NULL,
    config TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    outcome TEXT
) STRICT;
INSERT INTO "sessions" VALUES('20260105-1',1767623400000000000,1767623400000000000,NULL,'paper','DU1234567','["AAPL","MSFT"]','{"seed":7}','beced1fe696351bb996169a4f1987ca19b5f52f37c7ef3071f9c044cf3580bfc',NULL);
CREATE TABLE signals (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    strategy TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('signal', 'abstained')),
    direction INTEGER,
    strength REAL,
    probability REAL,
    model TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
INSERT INTO "signals" VALUES(1,'20260105-1',5,1767623580000000000,'AAPL','ma_crossover','signal',1,0.75,0.66,'ensemble-1','5 over 20');
INSERT INTO "signals" VALUES(2,'20260105-1',5,1767623580000000000,'MSFT','ml','abstained',NULL,NULL,0.52,'','below 0.65');
CREATE TABLE ticks (
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    bid REAL,
    ask REAL,
    bid_size REAL,
    ask_size REAL,
    price REAL,
    size REAL,
    CHECK ((bid IS NOT NULL AND ask IS NOT NULL) OR (price IS NOT NULL AND size IS NOT NULL))
) STRICT;
INSERT INTO "ticks" VALUES(1767623520000000000,'AAPL',180.11,180.13,300.0,200.0,NULL,NULL);
INSERT INTO "ticks" VALUES(1767623520000000000,'AAPL',NULL,NULL,NULL,NULL,180.12,100.0);
CREATE TABLE violations (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    gate TEXT NOT NULL,
    reason TEXT NOT NULL,
    value REAL,
    "limit" REAL
) STRICT;
INSERT INTO "violations" VALUES(1,'20260105-1',9,1767623700000000000,'20260105-1-1.2','AAPL','daily_loss','too much lost',-1200.0,-1000.0);
INSERT INTO "violations" VALUES(2,'20260105-1',9,1767623700000000000,'20260105-1-1.3','AAPL','heat','volatility unknown',NULL,NULL);
CREATE INDEX orders_by_status ON orders (status);
CREATE TRIGGER fills_are_kept BEFORE DELETE ON fills
BEGIN SELECT RAISE(ABORT, 'fills are never deleted'); END;
CREATE INDEX equity_by_time ON equity (ts);
PRAGMA application_id = 1383031407;
PRAGMA user_version = 1;
COMMIT;
