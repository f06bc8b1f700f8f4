// How the desk stands: who stops it, its link to the broker, what differs, what is protected. The hub says it at once,
// the database also where the hub is gone; both are brought into the hub's shape here.

const POLL_MS = 3000;
const ALIVE_MS = 10000;

export class DeskState {
  /** Look at the database now and then; `changed()` is called when it said something. */
  constructor(feed, ask, changed) {
    this.feed = feed;
    this.ask = ask;
    this.changed = changed;
    this.told = null; // what the database said last
    this.busy = false;
    setInterval(() => !document.hidden && this.look(), POLL_MS);
  }

  async look() {
    if (this.busy) return;
    this.busy = true;
    if ((await this.ask("healthz"))?.database === "present") this.told = (await this.ask("state")) ?? this.told;
    this.busy = false;
    this.changed();
  }

  /** What the desk may do, and every reason: `{state, holds: [{by, state, reason, ts}]}`, null while unknown. */
  trading() {
    const now = this.feed.row("status");
    if (this.feed.fresh() && now?.state) return { state: now.state, holds: now.holds ?? [] };
    if (!this.told?.session) return null;
    const halt = this.told.halt;
    const holds = (halt?.standing ?? []).map((hold) => ({ ...hold, ts: hold.since_ns }));
    return { state: halt?.state ?? "active", holds };
  }

  /** The link to the broker: `{state, why, since, until}`, times in ns of the wall clock, null while unknown. */
  link() {
    const now = this.feed.row("status")?.link;
    if (this.feed.fresh() && now) return now;
    const job = this.told?.link;
    return job ? { state: job.state, why: job.detail, since: job.last_run_ns, until: job.next_run_ns } : null;
  }

  /** Positions that differ from the broker's (`since` when), and shares of them that are left alone (`ignored_until`). */
  quarantines() {
    if (this.feed.fresh()) return this.feed.rows("quarantines");
    return (this.told?.quarantines ?? []).map((row) => ({ ...row, since: row.since_ns, ignored_until: row.ignored_until_ns }));
  }

  /** Nights that look like a split and were not answered with one: `{symbol, ratio}`. */
  splits() {
    if (this.feed.fresh()) return this.feed.row("status")?.splits ?? [];
    return (this.told?.splits ?? []).map((row) => ({ symbol: row.symbol, ratio: `${row.new}:${row.old}` }));
  }

  /** Readings beyond their limits, furthest first, and `{drifting, columns, alarm}` as told last, null before that. */
  drift() {
    const fresh = this.feed.fresh();
    const rows = fresh ? this.feed.rows("drift") : (this.told?.drift?.standing ?? []);
    const summary = fresh ? this.feed.row("status")?.drift : this.told?.drift?.summary;
    return { rows: [...rows].sort((a, b) => b.value / b.limit - a.value / a.limit), summary: summary ?? null };
  }

  /** What kind of market each symbol is in, by which rule, and whether enough is `known` to say so. */
  regimes() {
    return this.feed.fresh() ? this.feed.rows("regimes") : (this.told?.regimes ?? []);
  }

  /** What stops cover, by symbol: `{covered, stops: [{price, shares}], unprotected, why}`. */
  protection() {
    if (this.feed.fresh()) return new Map(this.feed.rows("protection").map((row) => [row.symbol, row]));
    const found = new Map();
    const of = (symbol) => {
      if (!found.has(symbol)) found.set(symbol, { symbol, covered: 0, stops: [], unprotected: 0, why: "" });
      return found.get(symbol);
    };
    for (const stop of this.told?.stops ?? []) {
      of(stop.symbol).covered += stop.shares;
      of(stop.symbol).stops.push({ price: stop.stop_price, shares: stop.shares });
    }
    for (const bare of this.told?.unprotected ?? []) Object.assign(of(bare.symbol), { unprotected: bare.shares, why: bare.why });
    return found;
  }

  /** How long ago, in ms, the daemon last left a sign of life in the database; null where it never did. */
  silence() {
    const beat = this.told?.jobs?.find((job) => job.name === "desk");
    return beat ? Date.now() - beat.last_run_ns / 1e6 : null;
  }

  alive() {
    const silence = this.silence();
    return silence !== null && silence < ALIVE_MS;
  }
}
