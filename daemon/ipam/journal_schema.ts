/** Layout of the journal's tables, and how a journal of an earlier version comes to it. */

/** The present layout. A row has an address of either IP version or of both. */
const tables = `
  CREATE TABLE attachments (
    network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,
    namespace TEXT NOT NULL, pod TEXT NOT NULL, pod_uid TEXT NOT NULL,
    domain TEXT NOT NULL, vrf INTEGER NOT NULL,
    address TEXT, prefix_length INTEGER, gateway TEXT, block TEXT,
    address6 TEXT, prefix_length6 INTEGER, gateway6 TEXT, block6 TEXT,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'attached', 'releasing')),
    host_ifname TEXT NOT NULL, mac TEXT NOT NULL, netns_path TEXT NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (network, container_id, ifname),
    UNIQUE (vrf, address), UNIQUE (vrf, address6),
    CHECK (address IS NOT NULL OR address6 IS NOT NULL)
  ) STRICT, WITHOUT ROWID;
`;

const blocks = `
  CREATE TABLE blocks (
    name TEXT PRIMARY KEY, vrf INTEGER NOT NULL, cidr TEXT NOT NULL, uid TEXT NOT NULL,
    releasing INTEGER NOT NULL CHECK (releasing IN (0, 1))
  ) STRICT, WITHOUT ROWID;
`;

const kept = `
  CREATE TABLE kept (
    vrf INTEGER NOT NULL, address TEXT NOT NULL,
    pod TEXT NOT NULL, ifname TEXT NOT NULL, seconds INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (vrf, address)
  ) STRICT, WITHOUT ROWID;
`;

/** What brings a journal of version 1, 2, … to the next one. A table whose columns become optional is made anew. */
export const migrations: readonly string[] = [
  // To 2: a second address.
  `
    ALTER TABLE attachments RENAME TO attachments_1;
    ${tables}
    INSERT INTO attachments (
      network, container_id, ifname, namespace, pod, pod_uid, domain, vrf,
      address, prefix_length, gateway, block, state, host_ifname, mac, netns_path, created_at
    ) SELECT
      network, container_id, ifname, namespace, pod, pod_uid, domain, vrf,
      address, prefix_length, gateway, block, state, host_ifname, mac, netns_path, created_at
    FROM attachments_1;
    DROP TABLE attachments_1;
  `,
  // To 3: addresses that are kept.
  kept,
];

/** The present version. A journal of a later one is not read, for its addresses might be misunderstood. */
export const schemaVersion: number = migrations.length + 1;

/** Makes an empty journal of the present version. */
export const schema = `${tables} ${blocks} ${kept} PRAGMA user_version = ${schemaVersion};`;

/**
 * What makes a journal of the present version quick, made where it is missing. It changes no row's meaning, so it makes no version of its own:
 * a daemon of an earlier release goes on with such a journal.
 */
export const indexes =
  "CREATE INDEX IF NOT EXISTS attachments_by_container ON attachments (container_id);";
