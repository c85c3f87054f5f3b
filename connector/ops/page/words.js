"use strict";
// What the numbers mean, in words. Nothing here touches the document: from statuses to texts, so that the words can be
// read and corrected in one place.

const KEEP_SECONDS = 300; // How far back the charts go.
const RATE_SECONDS = 10; // A rate is over this number of last seconds: it shows a change, and does not jitter.
const TREND_SECONDS = 30; // Whether the lag grows is seen over a longer stretch.
const GAP_SECONDS = 15; // Samples further apart than this are not joined.
const SCHEMA_SECONDS = 5; // A schema that was just asked for is no news.
const STILL_SECONDS = 15; // Without progress for this time, beyond what lingering explains, work stands still.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const twoDigits = (value) => String(value).padStart(2, "0");

function count(value) {
  return value === null || value === undefined ? "–" : whole.format(value);
}

function perSecond(value) {
  if (value === null) return "–";
  if (value > 0 && value < 0.05) return "< 0.1";
  return value > 0 && value < 10 ? decimal.format(value) : whole.format(value);
}

function share(part, total) {
  if (!total) return "–";
  const percent = (100 * part) / total;
  if (part > 0 && percent < 0.1) return "< 0.1 %";
  // A hundred means all of it.
  return (percent < 10 || (percent > 99 && percent < 100) ? decimal.format(Math.floor(percent * 10) / 10) : whole.format(percent)) + " %";
}

// An upper bound, rounded up: rounded down it would promise too much.
function atMost(part) {
  return `${decimal.format(Math.ceil(part * 1000) / 10)} %`;
}

function plural(value, one, many) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

function span(seconds) {
  if (seconds < 9.95) return `${decimal.format(seconds)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

function clock(time, now, withSeconds = false) {
  const then = new Date(time * 1000);
  const hours = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
  const words = withSeconds ? `${hours}:${twoDigits(then.getSeconds())}` : hours;
  const sameDay = then.toDateString() === new Date(now * 1000).toDateString();
  return sameDay ? words : `${then.getFullYear()}-${twoDigits(then.getMonth() + 1)}-${twoDigits(then.getDate())} ${words}`;
}

// The part of a status that has a history.
function sampleOf(status) {
  const { events, updates, requests } = status;
  const attempts = Object.values(requests).reduce((sum, each) => sum + each, 0);
  return {
    time: status.time,
    consumed: events.consumed,
    updates: updates.accepted,
    saved: status.calls_saved.merging + status.calls_saved.unchanged,
    settled: updates.accepted + updates.dead_lettered,
    waits: updates.pending + updates.in_flight > updates.unknown_visitor + heldBack(status),
    lag: status.lag,
    attempts,
    failures: attempts - requests.accepted,
    requests,
  };
}

// Change a second of what `read` gives, over about that number of seconds; null while too little is known.
function slope(samples, seconds, read) {
  const newest = samples.at(-1);
  const oldest = samples.findLast((each) => newest.time - each.time >= seconds) ?? samples[0];
  if (!newest || newest.time - oldest.time < 0.5) return null;
  const [before, after] = [read(oldest), read(newest)];
  return before === null || after === null ? null : (after - before) / (newest.time - oldest.time);
}

// For how long updates have been waiting without one being settled; those of unknown visitors wait on purpose.
function stillFor(samples) {
  const newest = samples.at(-1);
  let since = newest.time;
  for (let index = samples.length - 1; index >= 0; index -= 1) {
    if (!samples[index].waits || samples[index].settled !== newest.settled) break;
    since = samples[index].time;
  }
  return newest.time - since;
}

const MISSED = {
  retention: "deleted from Kafka before they could be read",
  truncation: "cut off from the end of the log",
};

const RECORDS = { dead_lettered: "dead letters" }; // Of the outcomes, those with another name on the page.

// What is gone from the log since the start; empty when nothing is.
function missedWords(missed) {
  return Object.entries(missed)
    .filter(([, records]) => records > 0)
    .map(([reason, records]) => `${plural(records, "record was", "records were")} ${MISSED[reason] ?? reason}.`)
    .join(" ");
}

// Updates of the classes that a share of the quota holds back on purpose.
function heldBack(status) {
  return Object.values(status.waiting).reduce((sum, each) => sum + (each.held_back ? each.visitors : 0), 0);
}

// How many visitors of each class wait, and which class does so on purpose.
function classWords(classes) {
  return Object.entries(classes)
    .map(([name, { visitors, held_back: held }]) => `${name} ${count(visitors)}${held && visitors ? " (the quota is kept for higher ones)" : ""}`)
    .join(", ");
}

// What connector verify found last in the profiles at Target.
function verifiedWords(found) {
  const ago = `${span(found.seconds_ago)} ago`;
  const sure = `at ${share(found.confidence, 1)}`;
  if (found.conclusion === "too_few") return `${ago}: of ${count(found.drawn)} visitors only ${count(found.judged)} could be judged`;
  const of = `of ${plural(found.judged, "visitor", "visitors")}`;
  return found.harmed
    ? `${ago}: ${count(found.harmed)} ${of} with a lost, replaced or cut value, ${share(found.low, 1)} to ${atMost(found.high)} of all ${sure}`
    : `${ago}: none ${of} with a lost, replaced or cut value, below ${atMost(found.high)} of all ${sure}`;
}

function waiting(status) {
  return status.updates.pending === 1 ? "1 update waits" : `${count(status.updates.pending)} updates wait`;
}

const CIRCUIT_REASONS = {
  throttled: "it says that it is overloaded (429 or 503)",
  unavailable: "it answers with errors or cannot be reached",
  timeout: "it does not answer in time",
  unconfirmed: "it answers in no known form",
};

function circuitVerdict(status) {
  const since = clock(status.time - status.circuit.open_seconds, status.time);
  const wait = `${waiting(status)}, nothing is lost`;
  if (status.circuit.reason === "unauthorized") {
    return {
      state: "bad",
      headline: `Target refuses the token since ${since}`,
      detail: `Renew TARGET_AUTH_TOKEN or its file. ${wait}.`,
    };
  }
  const why = CIRCUIT_REASONS[status.circuit.reason] ?? status.circuit.reason;
  const lasting = span(status.circuit.open_seconds);
  return {
    state: "bad",
    headline: `Endpoint failing since ${since}`,
    detail: `For ${lasting} now ${why}. Only probes are sent; ${wait}.`,
  };
}

function quotaVerdict(status) {
  const { quota } = status;
  const next = quota.next_free_seconds === null
    ? ""
    : ` The next ${plural(quota.next_free_updates, "update comes", "updates come")} free in ${span(quota.next_free_seconds)}.`;
  return {
    state: "wait",
    headline: "Waiting for quota",
    detail: `All ${count(quota.limit)} of the last ${span(quota.window_seconds)} are used.${next} ${waiting(status)}.`,
  };
}

// What keeps it from going faster, as far as the numbers show; empty when nothing of ours does.
function bottleneck(status, sent) {
  if (sent === null) return "";
  const { quota, rate_per_second: limit } = status;
  const pace = quota?.pace_per_second ?? null;
  if (pace && sent >= 0.9 * pace && (limit === null || pace <= limit)) {
    return `It sends at the pace of the quota, ${perSecond(pace)}/s (QUOTA_HORIZON_SECONDS=${quota.horizon_seconds}).`;
  }
  if (limit && sent >= 0.9 * limit) return `It sends at its rate limit, ${perSecond(limit)}/s.`;
  if (status.updates.in_flight >= status.slots) return `All ${plural(status.slots, "slot is", "slots are")} in use: the endpoint is the limit.`;
  return "";
}

function failing(samples) {
  const attempts = slope(samples, 60, (each) => each.attempts);
  const failures = slope(samples, 60, (each) => each.failures);
  return attempts && failures / attempts >= 0.05 ? `${share(failures, attempts)} of the requests of the last minute failed.` : "";
}

function flowVerdict(status, samples) {
  const { lag, updates, events } = status;
  const sent = slope(samples, RATE_SECONDS, (each) => each.updates);
  const taken = slope(samples, RATE_SECONDS, (each) => each.consumed);
  const growth = slope(samples, TREND_SECONDS, (each) => each.lag);
  const linger = Number(status.settings?.COALESCE_LINGER_SECONDS ?? 0);
  const still = stillFor(samples);
  const details = [failing(samples), status.paused ? "Reading is paused: too much is pending." : "", bottleneck(status, sent)];
  const said = (state, headline, ...first) => ({ state, headline, detail: [...first, ...details].filter(Boolean).join(" ") });
  const pace = status.quota?.pace_per_second ?? null;
  if (still >= STILL_SECONDS + linger && pace !== null && pace * still < 2) {
    const every = pace ? `it lets one go every ${span(1 / pace)}` : "none may go now";
    const horizon = `QUOTA_HORIZON_SECONDS=${status.quota.horizon_seconds}`;
    return said("wait", "Slowed by the quota", `${count(status.quota.free)} are left of it, and ${every} (${horizon}). ${waiting(status)}.`);
  }
  if (still >= STILL_SECONDS + linger) {
    return said("warn", "Not moving", `${waiting(status)}, and none was settled for ${span(still)}.`);
  }
  if (!lag && !updates.pending && !updates.in_flight && !events.pending) {
    return lag === null && !events.consumed
      ? said("ok", "Ready, no events yet", "It owns partitions and has read nothing from them so far.")
      : said("ok", "Caught up", "Every record is settled, nothing waits.");
  }
  const held = heldBack(status);
  if (held && held + updates.unknown_visitor >= updates.pending + updates.in_flight && lag <= events.pending) {
    const them = plural(held, "update of a lower class waits", "updates of lower classes wait");
    return said("wait", "Quota kept for higher classes", `${them} until the window frees a part of it; what waits goes on merging.`);
  }
  if (updates.unknown_visitor && updates.unknown_visitor >= updates.pending + updates.in_flight && lag <= events.pending) {
    const them = plural(updates.unknown_visitor, "visitor is", "visitors are");
    return said("wait", "Caught up, but for unknown visitors", `${them} unknown to Target; each is tried again twice. Nothing is lost.`);
  }
  if (lag === null || growth === null) return said("busy", "Sending", `${waiting(status)}.`);
  if (lag <= Math.max(events.pending, (RATE_SECONDS + linger) * (taken ?? 0))) {
    return said("ok", "Sending, keeping up", "What waits came in a moment ago.");
  }
  if (growth < 0 && lag / -growth < 86400) {
    return said("busy", "Sending, catching up", `About ${span(lag / -growth)} to go.`);
  }
  const words = growth > 0.01 * (taken ?? 0) && growth > 0 ? `The lag grows by ${perSecond(growth)} records a second.` : "The lag stays as it is.";
  return said("warn", growth > 0 ? "Sending, falling behind" : "Sending, not catching up", words);
}

// Partitions that wait for a schema; null when none has waited long enough to be told.
function schemaVerdict(status) {
  const waits = status.schema_waits.filter((each) => each.seconds >= SCHEMA_SECONDS);
  if (!waits.length) return null;
  const longest = waits.reduce((one, other) => (other.seconds > one.seconds ? other : one));
  const all = waits.length >= status.partitions_assigned;
  const who = all ? "All partitions wait" : plural(waits.length, "partition waits", "partitions wait");
  const others = all ? "" : "All others go on. ";
  return {
    state: "warn",
    headline: `${who} for a schema`,
    detail: `Schema ${longest.schema}, for ${span(longest.seconds)}: ${longest.reason}. ${others}Nothing is lost.`,
  };
}

// The one line for a person on call: what matters most comes first.
function verdict(status, samples) {
  const { health, quota } = status;
  const owned = status.partitions_assigned;
  if (health.livez.length) return { state: "bad", headline: "Stuck", detail: `${health.livez.join("; ")}.` };
  if (status.draining) {
    return {
      state: "wait",
      headline: "Draining, it ends soon",
      detail: `${waiting(status)}, ${plural(status.updates.in_flight, "request is", "requests are")} on the wire. What is left, the next owner reads again.`,
    };
  }
  if (status.circuit.open) return circuitVerdict(status);
  if (!owned && health.readyz.length) return { state: "warn", headline: "Not ready", detail: `${health.readyz.join("; ")}.` };
  if (!owned) {
    return {
      state: "idle",
      headline: "No partitions",
      detail: "Either other replicas own them all, or the group is still forming, which takes some seconds.",
    };
  }
  if (status.lease_seconds === null || status.lease_seconds <= 0) {
    return {
      state: "wait",
      headline: "Waiting for Kafka",
      detail: `Until the group confirms that the partitions are still ours, nothing is sent. ${waiting(status)}.`,
    };
  }
  if (quota && !quota.read) {
    return {
      state: "wait",
      headline: "Waiting for the quota's ledger",
      detail: `Until it has been read once, it is not known what may be sent. ${waiting(status)}.`,
    };
  }
  if (quota && quota.free <= 0 && quota.in_hand <= 0 && status.updates.pending) return quotaVerdict(status);
  return schemaVerdict(status) ?? flowVerdict(status, samples);
}

function quotaForecast(quota, now) {
  if (quota.used >= quota.limit) {
    return quota.next_free_seconds === null
      ? "It is used up."
      : `It is used up; something comes free at ${clock(now + quota.next_free_seconds, now)}.`;
  }
  const at = (seconds) => `${span(seconds)}, at ${clock(now + seconds, now)}`;
  const ends = quota.used_up_seconds === null
    ? `it does not run out within ${span(quota.window_seconds)}`
    : `it runs out in ${at(quota.used_up_seconds)}`;
  if (quota.slowed_seconds === null) return `At the current rate ${ends}.`;
  const slowed = quota.slowed_seconds ? `in ${at(quota.slowed_seconds)}` : "now";
  return `At the current rate ${ends}. The pace slows updates ${slowed}.`;
}
