// The connection to the proxy: questions and orders, and the stream of events. Paths are relative to the page.

const PATIENCE = 15000;
const SILENCE = 8000; // figures come each second: that long without any, and the other side is gone
const LONGEST_WAIT = 10000;

class Refusal extends Error {
  constructor(status, text, mistakes) {
    super(text);
    this.status = status; // 0: no answer at all
    this.mistakes = mistakes ?? [];
  }
}

let token = null;
try {
  token = sessionStorage.getItem("token");
} catch {
  // A browser that keeps nothing asks again after each load.
}

const allowed = () => (token ? { Authorization: `Bearer ${token}` } : {});

// One question asked at a time, however many answers said 401.
let asking = null;

function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = find("#token");
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        const given = find("#token-form").elements.token.value.trim();
        find("#token-form").reset();
        if (given) {
          token = given;
          try {
            sessionStorage.setItem("token", given);
          } catch {
            // as above
          }
        }
        resolve(Boolean(given));
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

async function call(path, body) {
  const options = { headers: allowed(), cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refusal(0, "The proxy does not answer.");
  }
  let value = {};
  try {
    value = await answer.json();
  } catch {
    if (answer.ok) throw new Refusal(answer.status, "The proxy’s answer could not be read.");
  }
  if (answer.ok) return value;
  if (answer.status === 401 && (await askForToken())) return call(path, body);
  throw new Refusal(answer.status, value.error ?? `The proxy answered ${answer.status}.`, value.mistakes);
}

// The stream of events, opened again whenever it ends. EventSource could not send a token, nor tell why it ended.
class Stream {
  constructor(take, changed, refused) {
    this.take = take; // (kind, value)
    this.changed = changed; // ("live" | "gone", milliseconds until the next try)
    this.refused = refused; // (what is wrong with the filters)
    this.filters = "";
    this.accepted = ""; // the last filters that the proxy understood
    this.abort = null;
    this.timer = 0;
    this.tries = 0;
    this.round = 0;
  }

  open(filters = this.filters) {
    this.filters = filters;
    this.round += 1;
    clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = new AbortController();
    this.run(this.round, this.abort);
  }

  async run(round, abort) {
    let silence = 0;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE);
    };
    try {
      heard();
      const answer = await fetch(`events${this.filters}`, { headers: allowed(), cache: "no-store", signal: abort.signal });
      if (answer.status === 401 && (await askForToken())) return this.open();
      if (answer.status === 400 && this.filters !== this.accepted) {
        const { error } = await answer.json();
        if (round !== this.round) return undefined;
        this.refused(error);
        return this.open(this.accepted);
      }
      if (!answer.ok) throw new Error(String(answer.status));
      this.accepted = this.filters;
      this.tries = 0;
      this.changed("live", 0);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done || round !== this.round) break;
        heard();
        rest = this.cut(rest + value);
      }
    } catch {
      // Whatever it was: it is tried again below.
    } finally {
      clearTimeout(silence);
    }
    if (round !== this.round) return undefined;
    abort.abort();
    const wait = Math.min(LONGEST_WAIT, 500 * 2 ** this.tries);
    this.tries += 1;
    this.timer = setTimeout(() => this.open(), wait);
    this.changed("gone", wait);
    return undefined;
  }

  // Gives the complete events of `text` on, and returns what is left of it.
  cut(text) {
    const events = text.replaceAll("\r\n", "\n").split("\n\n");
    const rest = events.pop();
    for (const event of events) {
      let kind = "message";
      const data = [];
      for (const line of event.split("\n")) {
        if (line.startsWith("event:")) kind = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5));
      }
      if (!data.length) continue;
      let value;
      try {
        value = JSON.parse(data.join("\n"));
      } catch {
        continue;
      }
      this.take(kind, value);
    }
    return rest;
  }
}
