// Reads a download and throws it away, to show how fast it comes; or lets the browser save it.
import { element, read, say, seconds, size } from "./common.js";

let abort = null;

const chosen = () => document.querySelector("#sizes :checked").value;
const address = () => `download/file?size=${chosen()}`;

function update() {
  element("save").href = address();
  element("command").textContent = `curl -o /dev/null '${new URL(address(), location.href)}'`;
}

element("sizes").addEventListener("change", update);
element("stop").addEventListener("click", () => abort?.abort());
element("measure").addEventListener("click", measure);
update();

async function measure() {
  abort = new AbortController();
  element("measure").disabled = true;
  element("stop").disabled = false;
  const started = performance.now();
  let got = 0;
  let total = 0;
  const rate = () => `${size(got / Math.max((performance.now() - started) / 1000, 0.001))} a second`;
  const progress = () => {
    element("progress").value = total ? got / total : 0;
    say(`${size(got)} of ${size(total)}, ${rate()}`);
  };
  const ticks = setInterval(progress, 200);
  try {
    const answer = await fetch(address(), { signal: abort.signal, cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    total = Number(answer.headers.get("content-length"));
    await read(answer, (chunk) => { got += chunk.length; });
    element("progress").value = 1;
    say(`Read ${size(got)} in ${seconds(performance.now() - started)}, ${rate()}.`);
  } catch (error) {
    say(abort.signal.aborted ? `Stopped after ${size(got)}.` : `Broken off after ${size(got)}: ${error.message}`);
  } finally {
    clearInterval(ticks);
    element("measure").disabled = false;
    element("stop").disabled = true;
  }
}
