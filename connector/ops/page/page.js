"use strict";
// Asks for /status again and again and writes it into the document. All text goes in by textContent; the server's policy
// forbids every other way.

const EVERY = 2000; // Milliseconds from one answer to the next question.
const PATIENCE = 5000; // Milliseconds after which no answer is a lost connection.
const TOKEN_SECONDS = 3 * 86400; // A token that ends within this time should have been renewed.
const FEW = 8; // Rows that a long table shows at first.

const STATES = {
  ok: ["OK", "M4 12.5 9.5 18 20 6.5"],
  busy: ["Working", "M8 5.5v13l10.5-6.5z"],
  wait: ["Waiting", "M8.5 5.5v13M15.5 5.5v13"],
  warn: ["Warning", "M12 4.5v9.5M12 18.2v.6"],
  bad: ["Failing", "M6.5 6.5l11 11M17.5 6.5l-11 11"],
  idle: ["Idle", "M5.5 12h13"],
  lost: ["No connection", "M6.5 6.5l11 11M17.5 6.5l-11 11"],
};

let samples = [];
let last = null; // The newest status.
let lastHeadline = "";
let heardAt = null; // When it came, by this machine's clock.
const openedAt = Date.now() / 1000;
let asking = null;
let timer = 0;
const replicas = new Set();
const opened = new Set(); // Tables shown in full.

const find = (id) => document.getElementById(id);

function put(id, text) {
  const node = find(id);
  if (node.textContent !== text) node.textContent = text;
}

// Makes the body's rows those of `list`; nodes that are there are used again, so that a selection or a reader's place
// survives. A cell is a text, or [text, class]; the first one is the row's header.
function fill(id, list) {
  const body = find(id);
  while (body.rows.length > list.length) body.deleteRow(-1);
  list.forEach((cells, index) => {
    const row = body.rows[index] ?? body.insertRow();
    cells.forEach((cell, column) => {
      const [text, style] = Array.isArray(cell) ? cell : [cell, ""];
      let node = row.cells[column];
      if (!node) {
        node = document.createElement(column ? "td" : "th");
        if (!column) node.scope = "row";
        row.append(node);
      }
      if (node.textContent !== text) node.textContent = text;
      if (node.className !== style) node.className = style;
    });
  });
}

// A long list is cut, with a button that shows it all.
function cut(id, list) {
  const button = find(`${id}-all`);
  button.hidden = list.length <= FEW;
  button.setAttribute("aria-expanded", String(opened.has(id)));
  button.textContent = opened.has(id) ? `Show only ${FEW}` : `Show all ${count(list.length)}`;
  return opened.has(id) ? list : list.slice(0, FEW);
}

function width(id, part) {
  find(id).style.width = `${Math.max(0, Math.min(100, 100 * part))}%`;
}

function announce(state, headline, detail) {
  find("verdict").dataset.state = state;
  const [word, mark] = STATES[state];
  put("verdict-word", word);
  put("verdict-headline", headline);
  put("verdict-detail", detail);
  find("verdict-mark").setAttribute("d", mark);
  document.title = `${headline} · ${last?.replica ?? "target-profile-connector"}`;
}

// Rates between neighbours, for a chart.
function rates(read) {
  return samples.slice(1).map((each, index) => {
    const before = samples[index];
    const seconds = each.time - before.time;
    return [each.time, seconds > GAP_SECONDS ? null : (read(each) - read(before)) / seconds];
  });
}

function chart(name, points, what, unit, now) {
  const highest = sparkline(find(`${name}-chart`), points, now);
  const known = points.filter(([, value]) => value !== null);
  put(`${name}-peak`, known.length ? `peak ${compact.format(highest)}${unit}` : "");
  find(`${name}-chart`).setAttribute(
    "aria-label",
    known.length
      ? `${what} over the last 5 minutes: at most ${perSecond(highest)}, now ${perSecond(known.at(-1)[1])}`
      : `${what}: not known yet`,
  );
}

function showFlow(status) {
  const { events, updates, calls_saved: saved } = status;
  const rate = (read) => perSecond(slope(samples, RATE_SECONDS, read));
  put("in-rate", rate((each) => each.consumed));
  put("in-total", count(events.consumed));
  put("saved-share", share(saved.merging + saved.unchanged, events.accepted + events.unchanged));
  put("saved-total", count(saved.merging));
  find("saved-unchanged-part").hidden = !saved.unchanged;
  put("saved-unchanged", count(saved.unchanged));
  put("out-rate", rate((each) => each.updates));
  put("out-total", count(updates.accepted));
  put("lag", count(status.lag));
  const growth = slope(samples, TREND_SECONDS, (each) => each.lag);
  const size = growth === null ? "" : perSecond(Math.abs(growth));
  put("lag-trend", status.lag === null ? "not known yet" : !growth ? "steady" : growth > 0 ? `grows by ${size}/s` : `shrinks by ${size}/s`);
  chart("in", rates((each) => each.consumed), "Events in, a second,", "/s", status.time);
  chart("saved", rates((each) => each.saved), "Events that needed no call of their own, a second,", "/s", status.time);
  chart("out", rates((each) => each.updates), "Updates out, a second,", "/s", status.time);
  chart("lag", samples.map((each) => [each.time, each.lag]), "Lag in records", "", status.time);
}

function showQuota({ quota, time }) {
  const known = quota?.read ?? false;
  find("quota-none").hidden = known;
  find("quota-some").hidden = !known;
  put("quota-none", quota ? "Its ledger has not been read yet: what is used is not known." : "No quota is kept.");
  if (!known) return;
  const length = span(quota.window_seconds);
  put("quota-used", count(quota.used));
  put("quota-limit", count(quota.limit));
  put("quota-share", share(quota.used, quota.limit));
  put("quota-window", length);
  put("quota-forecast", quotaForecast(quota, time));
  put("quota-free", count(quota.free));
  put("quota-in-hand", count(quota.in_hand));
  put("quota-pace", quota.pace_per_second === null ? "no limit" : `${perSecond(quota.pace_per_second)}/s`);
  put("quota-horizon", `QUOTA_HORIZON_SECONDS=${quota.horizon_seconds}`);
  put(
    "quota-next",
    quota.next_free_seconds === null ? "nothing is used" : `${count(quota.next_free_updates)} in ${span(quota.next_free_seconds)}`,
  );
  width("quota-bar", quota.used / quota.limit);
  const full = quota.used / quota.limit;
  find("quota-meter").dataset.state = full >= 1 ? "bad" : full >= 0.9 ? "warn" : "ok";
  find("quota-meter").setAttribute("aria-valuenow", String(Math.round(100 * full)));
  find("quota-meter").setAttribute("aria-valuetext", `${count(quota.used)} of ${count(quota.limit)} used`);
  const highest = quotaBars(find("quota-bars"), quota);
  put("quota-peak", `highest bar ${compact.format(highest)}`);
  for (const id of ["quota-ago", "quota-ahead", "quota-ahead-too"]) put(id, id === "quota-ago" ? `${length} ago` : `in ${length}`);
  quotaForecastLines(find("quota-lines"), quota);
  put("quota-top", `limit ${compact.format(quota.limit)}`);
  const sum = (list) => list.reduce((total, each) => total + each, 0);
  find("quota-bars").setAttribute(
    "aria-label",
    `${count(sum(quota.history))} updates were used in the last ${length}, ${count(sum(quota.releases))} come free in the next ${length}`,
  );
  find("quota-lines").setAttribute("aria-label", `How full the window will be. ${quotaForecast(quota, time)}`);
}

function showEndpoint(status) {
  const { circuit, updates, slots, requests } = status;
  const most = Number(status.settings?.TARGET_MAX_IN_FLIGHT) || slots;
  put("circuit", circuit.open ? `open for ${span(circuit.open_seconds)}: ${circuit.reason}` : "closed");
  find("circuit").className = circuit.open ? "alarming" : "";
  const left = status.token_expires_seconds;
  find("token").hidden = left === null;
  put("token-ends", left > 0 ? `ends in ${span(left)}` : "has ended");
  find("token-ends").className = left > TOKEN_SECONDS ? "" : "alarming";
  find("verified").hidden = !status.verified;
  if (status.verified) {
    put("verified-words", verifiedWords(status.verified));
    find("verified-words").className = status.verified.harmed ? "alarming" : "";
  }
  put("slots", `${count(updates.in_flight)} in flight (limit now ${count(slots)}, max ${count(most)})`);
  width("slots-used", updates.in_flight / most);
  width("slots-open", slots / most);
  put("rate-limit", status.rate_per_second === null ? "none" : `${perSecond(status.rate_per_second)}/s`);
  const total = Object.values(requests).reduce((sum, each) => sum + each, 0);
  fill("requests", Object.entries(requests).map(([outcome, value]) => {
    const now = slope(samples, 60, (each) => each.requests[outcome]);
    const style = outcome !== "accepted" && now > 0 ? "alarming" : "";
    return [outcome, count(value), share(value, total), [now === null ? "–" : `${perSecond(now)}/s`, style]];
  }));
}

function within(seconds) {
  return seconds === null ? "–" : `within ${span(seconds)}`;
}

function showRecords({ events, updates, waiting, event_age_seconds: age, paused, records_missed: missed }) {
  const { consumed, pending, ...outcomes } = events;
  const done = Object.values(outcomes).reduce((sum, each) => sum + each, 0);
  const rows = Object.entries(outcomes).map(([outcome, value]) => {
    const alarming = outcome === "dead_lettered" && value > 0;
    return [RECORDS[outcome] ?? outcome.replace("_", " "), [count(value), alarming ? "alarming" : ""]];
  });
  fill("records", [...rows, ["pending", count(pending)]]);
  put("records-sum", count(consumed));
  const even = done + pending === consumed;
  put("records-even", even ? "Counts match." : `Counts do not match: the lines make ${count(done + pending)}.`);
  find("records-even").className = even ? "quiet" : "alarming";
  find("records-missed").hidden = !missedWords(missed);
  put("records-missed", missedWords(missed));
  put("updates-pending", count(updates.pending));
  put("updates-in-flight", count(updates.in_flight));
  find("classes").hidden = !waiting.high.visitors && !waiting.low.visitors;
  put("waiting-classes", classWords(waiting));
  find("unknown").hidden = !updates.unknown_visitor;
  put("unknown-visitors", count(updates.unknown_visitor));
  put("paused", paused ? "paused: too much is pending" : "consuming");
  // With spaces that do not break, so that each stays in one piece.
  put("age", `50 % ${within(age.p50)}, 95 % ${within(age.p95)}, 99 % ${within(age.p99)}`.replace(/([^,]) /g, "$1\u00a0"));
}

// What a mapping skips, by the condition that did not hold; those that skip most first.
function showSkips({ events_skipped: skips }) {
  const most = [...skips].sort((one, other) => other.events - one.events);
  find("skips-table").hidden = !skips.length;
  fill("skips", cut("skips", most).map(({ source, condition, events }) => [source, [condition, "text"], count(events)]));
}

function showWaits({ schema_waits: waits }) {
  const longest = [...waits].sort((one, other) => other.seconds - one.seconds);
  find("waits-table").hidden = !waits.length;
  fill("waits", cut("waits", longest).map((each) => [
    `${each.topic}/${each.partition}@${each.offset}`,
    each.schema,
    span(each.seconds),
    [each.reason, "text"],
  ]));
}

function showProblems({ problems, time }) {
  find("problems-none").hidden = problems.length > 0;
  const list = find("problems");
  const shown = cut("problems", problems);
  while (list.children.length > shown.length) list.lastElementChild.remove();
  shown.forEach((problem, index) => {
    let item = list.children[index];
    if (!item) {
      item = document.createElement("li");
      for (const name of ["level", "event", "when", "reason", "remedy"]) {
        const part = document.createElement(name === "when" || name === "reason" || name === "remedy" ? "p" : "span");
        part.className = name;
        item.append(part, " ");
      }
      list.append(item);
    }
    const newest = Date.parse(problem.last) / 1000;
    const oldest = Date.parse(problem.first) / 1000;
    const often = problem.count > 1 ? `, ${count(problem.count)} times since ${clock(oldest, time)}` : "";
    const place = problem.place ? ` · ${problem.place}` : "";
    const texts = {
      level: problem.level,
      event: problem.event,
      when: `${clock(newest, time, true)}, ${span(Math.max(0, time - newest))} ago${often}${place}`,
      reason: problem.reason,
      remedy: problem.remedy && `What to do: ${problem.remedy}`,
    };
    item.dataset.level = problem.level;
    for (const [name, text] of Object.entries(texts)) {
      const part = item.querySelector(`.${name}`);
      part.hidden = !text;
      if (part.textContent !== text) part.textContent = text;
    }
  });
}

function showPartitions(status) {
  const { partitions, partitions_assigned: owned } = status;
  const most = Math.max(1, ...partitions.map((each) => each.lag ?? 0));
  const offset = (value) => (value < 0 ? "–" : count(value));
  const behind = [...partitions].sort((one, other) => (other.lag ?? most + 1) - (one.lag ?? most + 1));
  // The furthest behind are what one looks for, and the order of names is what one reads.
  const shown = opened.has("partitions") || partitions.length <= FEW ? partitions : partitions.filter((each) => behind.indexOf(each) < FEW);
  cut("partitions", partitions);
  fill("partitions", shown.map((each) => [
    `${each.topic}/${each.partition}`,
    offset(each.position),
    offset(each.committed),
    [count(each.lag), each.lag ? "behind" : ""],
  ]));
  const words = [owned ? `This replica owns ${plural(owned, "partition", "partitions")}.` : "This replica owns no partition."];
  if (partitions.length < owned) words.push(`Named are the ${count(partitions.length)} that are furthest behind.`);
  if (shown.length < partitions.length) words.push(`Shown are the ${FEW} that are furthest behind.`);
  put("partitions-note", words.join(" "));
  find("partitions-table").hidden = !owned;
}

function showSettings({ settings }) {
  fill("settings", Object.entries(settings).map(([name, value]) => [
    name,
    value === null ? ["unset", "quiet"] : value === "" ? ["(empty)", "quiet"] : String(value),
  ]));
}

function remember(status) {
  const sample = sampleOf(status);
  const before = samples.at(-1);
  replicas.add(status.replica);
  if (replicas.size > 1) {
    put("notice", `The answers come from different replicas: ${[...replicas].join(", ")}. The rates begin anew at each change; open the port of one pod to see only that one.`);
  } else if (last && status.uptime_seconds < last.uptime_seconds) {
    put("notice", `The process was started again at ${clock(status.time - status.uptime_seconds, status.time, true)}: its counts began at 0.`);
  }
  const anew = last && (status.replica !== last.replica || status.uptime_seconds < last.uptime_seconds || sample.time < before.time);
  if (anew) samples = [];
  if (!samples.length || sample.time > samples.at(-1).time) samples.push(sample);
  while (sample.time - samples[0].time > KEEP_SECONDS) samples.shift();
  last = status;
}

function show(status) {
  remember(status);
  heardAt = Date.now() / 1000;
  document.body.classList.remove("stale");
  const { state, headline, detail } = verdict(status, samples);
  lastHeadline = headline;
  announce(state, headline, detail);
  put("replica", status.replica);
  put("version", status.version);
  put("uptime", span(status.uptime_seconds));
  put("link", `Live: updated ${clock(heardAt, heardAt, true)}`);
  find("link").dataset.state = "live";
  showFlow(status);
  showQuota(status);
  showEndpoint(status);
  showRecords(status);
  showSkips(status);
  showProblems(status);
  showWaits(status);
  showPartitions(status);
  showSettings(status);
}

function lose(reason) {
  const now = Date.now() / 1000;
  const since = heardAt ?? openedAt;
  document.body.classList.add("stale");
  announce(
    "lost",
    `Connection lost since ${clock(since, now, true)}`,
    `${reason} ${last ? `The last state, ${span(now - since)} ago, was “${lastHeadline}”; all numbers below are from then.` : "There was no answer yet."} It keeps asking.`,
  );
  put("link", `Not live: no answer for ${span(now - since)}`);
  find("link").dataset.state = "lost";
}

async function answer() {
  let response;
  try {
    response = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    return lose("The connector does not answer.");
  }
  if (!response.ok) return lose(`The connector answers with an error, HTTP ${response.status}.`);
  try {
    return show(await response.json());
  } catch (error) {
    return lose(`The answer cannot be shown (${error.message}).`);
  }
}

// One request at a time, for all parts of the page.
function poll() {
  clearTimeout(timer);
  asking ??= answer().finally(() => {
    asking = null;
    timer = setTimeout(poll, EVERY);
  });
  return asking;
}

for (const [id, showList] of Object.entries({ problems: showProblems, partitions: showPartitions, skips: showSkips, waits: showWaits })) {
  find(`${id}-all`).addEventListener("click", () => {
    if (!opened.delete(id)) opened.add(id);
    if (last) showList(last);
  });
}
// A browser slows the timers of a hidden page down: who comes back sees the present at once.
document.addEventListener("visibilitychange", () => document.hidden || poll());
poll();
