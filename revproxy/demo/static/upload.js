// Sends a file as the request's body; XMLHttpRequest, since fetch does not tell how far an upload is.
import { command, element, say, seconds, size } from "./common.js";

const LARGEST_TO_COMPARE = 256 * 2 ** 20;

command("curl -T FILE", "upload/body");
element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  upload(element("file").files[0]);
});
element("made-up").addEventListener("click", () => upload(noise(64)));

function noise(mebibytes) {
  const pieces = [];
  for (let i = 0; i < mebibytes * 16; i += 1) pieces.push(crypto.getRandomValues(new Uint8Array(65536)));
  return new Blob(pieces);
}

function upload(file) {
  const request = new XMLHttpRequest();
  const started = performance.now();
  const busy = (yes) => document.querySelectorAll("button").forEach((button) => { button.disabled = yes; });
  busy(true);
  element("result").hidden = true;
  element("progress").value = 0;
  request.upload.onprogress = (event) => {
    element("progress").value = event.total ? event.loaded / event.total : 1;
    say(`${size(event.loaded)} of ${size(event.total)} sent`);
  };
  request.onerror = () => { busy(false); say("The connection was closed before an answer came."); };
  request.onload = () => {
    busy(false);
    if (request.status !== 200) {
      say(`Refused: ${request.status} ${request.statusText}`);
      return;
    }
    element("progress").value = 1;
    const took = performance.now() - started;
    say(`Done in ${seconds(took)}, ${size(file.size / (took / 1000))} a second.`);
    show(JSON.parse(request.responseText), file);
  };
  request.open("POST", "upload/body");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
}

async function show(report, file) {
  element("size").textContent = `${size(report.size)} (${report.size} octets)`;
  element("sha256").textContent = report.sha256;
  element("pieces").textContent =
    `${report.pieces} pieces over ${report.seconds.toFixed(2)} s, ` +
    `the first ${(report.first_after * 1000).toFixed(0)} ms after the head of the request`;
  element("compared").textContent = "";
  element("result").hidden = false;
  // crypto.subtle is there only on https and on this machine itself, and wants the whole file at once.
  if (file.size <= LARGEST_TO_COMPARE && crypto.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    const own = Array.from(digest, (octet) => octet.toString(16).padStart(2, "0")).join("");
    element("compared").textContent =
      own === report.sha256 ? "✓ the same as your browser computes" : `✗ your browser computes ${own}`;
  }
}
