// The stream of the hub: rows by channel and key, kept whole by snapshots and sequence numbers.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15000;

export class Feed {
  /** Follow the hub at `url`; `changed(channel)` is called for new rows, `linked()` when the link's state changes. */
  constructor(url, changed, linked) {
    this.url = url;
    this.changed = changed;
    this.linked = linked;
    this.wanted = new Set();
    this.tables = new Map(); // channel -> Map(key -> row), oldest first
    this.seq = new Map();
    this.pause = FIRST_PAUSE_MS;
    this.open = false;
    this.desk = false; // is the daemon connected to the hub?
    this.deskSpoke = null; // when it last spoke, ms, hub's clock
    this.told = 0; // when the newest row was told, ms, hub's clock
    this.offset = 0; // hub's clock minus ours
    this.heard = 0;
    this.beat = 5000;
    this.connect();
  }

  now() {
    return Date.now() + this.offset;
  }

  /** Whether what we hold is current: the hub is heard and the daemon speaks to it. */
  fresh() {
    const patience = 3 * this.beat;
    return this.open && this.desk && Date.now() - this.heard < patience && this.now() - this.deskSpoke < patience;
  }

  rows(channel) {
    return [...(this.tables.get(channel)?.values() ?? [])];
  }

  row(channel) {
    return this.rows(channel).at(-1);
  }

  subscribe(channels) {
    const added = channels.filter((channel) => !this.wanted.has(channel));
    added.forEach((channel) => this.wanted.add(channel));
    if (added.length) this.send({ t: "sub", ch: added });
  }

  unsubscribe(channels) {
    channels.forEach((channel) => this.wanted.delete(channel) && this.tables.delete(channel));
    this.send({ t: "unsub", ch: channels });
  }

  send(frame) {
    if (this.open) this.socket.send(JSON.stringify(frame));
  }

  connect() {
    this.socket = new WebSocket(this.url, ["robotrader.v1"]);
    this.socket.onmessage = (message) => this.take(JSON.parse(message.data));
    this.socket.onclose = () => {
      this.open = false;
      this.linked();
      setTimeout(() => this.connect(), Math.random() * this.pause);
      this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
    };
  }

  take(frame) {
    this.heard = Date.now();
    switch (frame.t) {
      case "hello":
        this.offset = frame.server_ts - Date.now();
        this.open = true;
        this.pause = FIRST_PAUSE_MS;
        this.beat = 1000 * frame.hb;
        this.seq.clear();
        this.know(frame.desk, 0);
        if (this.wanted.size) this.send({ t: "sub", ch: [...this.wanted] });
        break;
      case "hb":
        this.offset = frame.ts - Date.now();
        this.know(frame.desk, frame.desk_age_ms);
        break;
      case "snap":
        if (this.desk || frame.data.length) {
          this.tables.set(frame.ch, new Map(frame.data.map((row) => [row.k, { ...row.data, at: row.at }])));
        }
        this.count(frame);
        this.note(frame.data.at(-1)?.at);
        this.changed(frame.ch);
        break;
      case "d":
        if (frame.seq !== this.seq.get(frame.ch) + 1) {
          this.send({ t: "resync", ch: frame.ch });
          return;
        }
        this.count(frame);
        this.apply(frame);
        this.changed(frame.ch);
        break;
    }
  }

  apply({ ch, op, k, ts, data }) {
    const table = this.tables.get(ch) ?? new Map();
    this.tables.set(ch, table);
    table.delete(k);
    if (op === "upsert") table.set(k, { ...data, at: ts });
    // As many as the hub keeps of the longest channel.
    if (table.size > 2000) table.delete(table.keys().next().value);
    this.note(ts);
  }

  count({ ch, seq }) {
    this.seq.set(ch, seq);
  }

  note(at) {
    if (!at) return;
    this.told = Math.max(this.told, at);
    this.deskSpoke = Math.max(this.deskSpoke ?? 0, at);
  }

  know(desk, age) {
    const changed = desk !== this.desk;
    this.desk = desk;
    if (desk && age !== null) this.deskSpoke = this.now() - age;
    if (changed || !desk) this.linked();
  }
}
