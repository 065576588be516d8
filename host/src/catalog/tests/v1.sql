-- A catalog as the first released schema stored it, written by the sitesync of that time.
BEGIN TRANSACTION;
CREATE TABLE counter (
    root INTEGER NOT NULL,
    site INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (root, site, bucket)
) WITHOUT ROWID;
INSERT INTO "counter" VALUES(1,1,6,11,4320);
INSERT INTO "counter" VALUES(1,2,0,2,67);
INSERT INTO "counter" VALUES(1,2,1,1,60);
INSERT INTO "counter" VALUES(1,2,2,1,60);
INSERT INTO "counter" VALUES(1,2,3,1,60);
INSERT INTO "counter" VALUES(1,2,4,1,60);
INSERT INTO "counter" VALUES(1,2,5,1,6);
INSERT INTO "counter" VALUES(1,2,6,4,3009);
INSERT INTO "counter" VALUES(2,1,6,1,9);
INSERT INTO "counter" VALUES(2,2,6,1,9);
INSERT INTO "counter" VALUES(3,1,6,1,11);
INSERT INTO "counter" VALUES(3,2,6,1,11);
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    folder INTEGER NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    size INTEGER NOT NULL,
    UNIQUE (folder, name)
);
INSERT INTO "file" VALUES(1,1,'top.txt',1,1);
INSERT INTO "file" VALUES(2,2,'beauty.1001.exr',1,1001);
INSERT INTO "file" VALUES(3,2,'beauty.1002.exr',1,1002);
INSERT INTO "file" VALUES(4,2,'beauty.1003.exr',2,7);
INSERT INTO "file" VALUES(5,2,'beauty.1004.exr',1,1004);
INSERT INTO "file" VALUES(6,2,'beauty.1005.exr',1,1005);
INSERT INTO "file" VALUES(7,3,'same folder, other root.abc',1,9);
INSERT INTO "file" VALUES(8,4,'other project''s.abc',1,11);
INSERT INTO "file" VALUES(9,5,'ready',1,60);
INSERT INTO "file" VALUES(10,5,'waiting',1,60);
INSERT INTO "file" VALUES(11,5,'in progress',1,60);
INSERT INTO "file" VALUES(12,5,'failed',1,60);
INSERT INTO "file" VALUES(13,5,'conflict',1,60);
INSERT INTO "file" VALUES(14,6,'stale',2,6);
CREATE TABLE folder (
    id INTEGER PRIMARY KEY,
    root INTEGER NOT NULL,
    path TEXT NOT NULL,
    UNIQUE (root, path)
);
INSERT INTO "folder" VALUES(1,1,'');
INSERT INTO "folder" VALUES(2,1,'shots/sq01/sh010');
INSERT INTO "folder" VALUES(3,2,'shots/sq01/sh010');
INSERT INTO "folder" VALUES(4,3,'shots/sq01/sh010');
INSERT INTO "folder" VALUES(5,1,'assets/chars/hero/work/maya');
INSERT INTO "folder" VALUES(6,1,'assets/ünï codé');
INSERT INTO "folder" VALUES(7,1,'empty');
CREATE TABLE have (
    file INTEGER NOT NULL,
    site INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    version TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER,
    PRIMARY KEY (file, site)
) WITHOUT ROWID;
INSERT INTO "have" VALUES(1,1,1,'v1',1,-7);
INSERT INTO "have" VALUES(1,2,1,'v1',1,-7);
INSERT INTO "have" VALUES(2,1,1,'v1',1001,-7);
INSERT INTO "have" VALUES(2,2,1,'v1',1001,-7);
INSERT INTO "have" VALUES(3,1,1,'v1',1002,-7);
INSERT INTO "have" VALUES(3,2,1,'v1',1002,-7);
INSERT INTO "have" VALUES(4,1,2,'v2',7,-7);
INSERT INTO "have" VALUES(4,2,1,'v1',1003,-7);
INSERT INTO "have" VALUES(5,1,1,'v1',1004,-7);
INSERT INTO "have" VALUES(5,2,-2,'gone:1',0,NULL);
INSERT INTO "have" VALUES(6,1,1,'v1',1005,-7);
INSERT INTO "have" VALUES(6,2,1,'v1',1005,-7);
INSERT INTO "have" VALUES(7,1,1,'v1',9,-7);
INSERT INTO "have" VALUES(7,2,1,'v1',9,-7);
INSERT INTO "have" VALUES(8,1,1,'v1',11,-7);
INSERT INTO "have" VALUES(8,2,1,'v1',11,-7);
INSERT INTO "have" VALUES(9,1,1,'v1',60,-7);
INSERT INTO "have" VALUES(10,1,1,'v1',60,-7);
INSERT INTO "have" VALUES(11,1,1,'v1',60,-7);
INSERT INTO "have" VALUES(12,1,1,'v1',60,-7);
INSERT INTO "have" VALUES(13,1,1,'v1',60,-7);
INSERT INTO "have" VALUES(14,1,1,'v1',5,-7);
CREATE TABLE job (
    file INTEGER NOT NULL,
    to_site INTEGER NOT NULL,
    project INTEGER NOT NULL,
    from_site INTEGER NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    sent_size INTEGER,
    sent_mtime INTEGER,
    token BLOB,
    error_kind TEXT,
    error_message TEXT,
    PRIMARY KEY (file, to_site)
) WITHOUT ROWID;
INSERT INTO "job" VALUES(4,2,1,1,0,50,1000,0,0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "job" VALUES(9,2,1,1,0,50,1000,0,0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "job" VALUES(10,2,1,1,1,50,1000,5000,1,NULL,NULL,NULL,'Timeout','drive: it''s silent');
INSERT INTO "job" VALUES(11,2,1,1,2,50,1000,0,0,60,-7,X'010203',NULL,NULL);
INSERT INTO "job" VALUES(12,2,1,1,3,50,1000,0,3,NULL,NULL,NULL,'Timeout','drive: it''s silent');
INSERT INTO "job" VALUES(13,2,1,1,4,50,1000,0,0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "job" VALUES(14,2,1,1,5,50,1000,0,0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('last_time',123456);
CREATE TABLE project (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
INSERT INTO "project" VALUES(1,'demo');
INSERT INTO "project" VALUES(2,'other');
CREATE TABLE root (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (project, name)
);
INSERT INTO "root" VALUES(1,1,'work');
INSERT INTO "root" VALUES(2,1,'publish');
INSERT INTO "root" VALUES(3,2,'work');
CREATE TABLE root_at (
    root INTEGER NOT NULL,
    site INTEGER NOT NULL,
    identity TEXT NOT NULL,
    PRIMARY KEY (root, site)
) WITHOUT ROWID;
INSERT INTO "root_at" VALUES(1,1,'one');
INSERT INTO "root_at" VALUES(1,2,'two');
CREATE TABLE site (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
INSERT INTO "site" VALUES(1,'studio');
INSERT INTO "site" VALUES(2,'drive');
CREATE INDEX folder_of_root ON folder (root);
CREATE INDEX job_order ON job (project, to_site, state, priority DESC, queued_at, file);
CREATE INDEX job_waiting ON job (project, to_site, not_before) WHERE state = 1;
COMMIT;
PRAGMA application_id = 1397979502;
PRAGMA user_version = 1;
