// What several pages need.

export const element = (id) => document.getElementById(id);

export function say(text) {
  element("status").textContent = text;
}

export function size(octets) {
  const units = ["octets", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (octets >= 1024 && unit < units.length - 1) {
    octets /= 1024;
    unit += 1;
  }
  return `${unit ? octets.toFixed(1) : octets} ${units[unit]}`;
}

export const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(2)} s`;

// The address that a reader would type into a shell, in the page's command line.
export function command(before, address) {
  element("command").textContent = `${before} ${new URL(address, location.href)}`;
}

// Adds a node to a log, and keeps its end in sight unless somebody scrolled back.
export function append(log, node) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(node);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// Calls take(chunk) for each piece of an answer's body as it comes.
export async function read(answer, take) {
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    take(value);
  }
}
