// Values as words. What came from clients passes `visible` before it is shown anywhere.

const NOTHING = "–";
const LONGEST = 240;

// Controls, what turns the direction of text, what cannot be seen, and halves of surrogate pairs.
const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]|[\ud800-\udfff]/gu;

function visible(text) {
  return String(text).replace(UNSEEN, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

// In a list a long name is cut; the trace shows it whole.
function shortened(text, most = LONGEST) {
  const whole = String(text ?? "");
  return whole.length <= most ? visible(whole) : `${visible(whole.slice(0, most))}… (${whole.length} characters)`;
}

const PLAIN = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING;
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(1)} G`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(size >= 1e8 ? 0 : 1)} M`;
  if (size >= 1e5) return `${(value / 1e3).toFixed(0)} k`;
  if (size >= 10 || Number.isInteger(value)) return PLAIN.format(value);
  return value.toFixed(1);
}

function octets(value) {
  if (value === null || value === undefined) return NOTHING;
  let rest = value;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (rest < 1000) return `${unit === "B" || rest >= 100 ? Math.round(rest) : rest.toFixed(1)} ${unit}`;
    rest /= 1024;
  }
  return `${rest.toFixed(1)} TiB`;
}

// Seconds of a measurement.
function taken(seconds) {
  if (seconds === null || seconds === undefined || seconds < 0) return NOTHING;
  if (seconds < 0.00995) return `${(seconds * 1000).toFixed(seconds < 0.000995 ? 2 : 1)} ms`;
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(0)} ms`;
  return seconds < 99.5 ? `${seconds.toFixed(seconds < 9.95 ? 2 : 1)} s` : age(seconds);
}

// Seconds that somebody has waited.
function age(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return hours && days < 10 ? `${days} d ${hours} h` : `${days} d`;
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return minutes ? `${minutes} min` : `${whole} s`;
}

function share(part, whole) {
  if (!whole) return NOTHING;
  const percent = (100 * part) / whole;
  return `${percent >= 99.95 || percent === 0 || percent >= 10 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}

const two = (value) => String(value).padStart(2, "0");

// The reader's own time of day.
function clock(moment) {
  const date = typeof moment === "number" ? new Date(moment * 1000) : new Date(moment);
  if (Number.isNaN(date.getTime())) return shortened(moment, 30);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function day(unix) {
  const date = new Date(unix * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

// A moment of today by its time, any other by its day too.
function when(unix) {
  return day(unix) === day(Date.now() / 1000) ? clock(unix) : `${day(unix)} ${clock(unix).slice(0, 5)}`;
}

function counted(count, word) {
  return `${number(count)} ${word}${count === 1 ? "" : "s"}`;
}
