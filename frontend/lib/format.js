/** Numbers, times and ids as people read them. Sizes count in thousands, as the terminal's do. */

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/**
 * @param {number} count
 * @returns {string} `12.3 MB`
 */
export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 999.95 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${count} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
}

const TAIL_CHARS = 8;
const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/**
 * A name in two parts: where there is no room for all of it, the first is cut at its end, so that
 * the end of the name, which tells the kind of a file and one of a series from another, stays.
 * @param {string} name
 * @returns {[string, string]}
 */
export function inTwo(name) {
  const letters = Array.from(segmenter.segment(name), ({ segment }) => segment);
  const at = letters.length - Math.min(TAIL_CHARS, Math.floor(letters.length / 2));
  return [letters.slice(0, at).join(""), letters.slice(at).join("")];
}

const collator = new Intl.Collator(undefined, { numeric: true });

/**
 * Sorts names as people do: `page 2` stands before `page 10`.
 * @param {string} left
 * @param {string} right
 * @returns {number}
 */
export function compareNames(left, right) {
  return collator.compare(left, right);
}

/**
 * @param {number} seconds
 * @returns {string} `40 s`, `3 min`, `2 h 5 min`
 */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.ceil(seconds))} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const rest = minutes % 60;
  return rest ? `${Math.floor(minutes / 60)} h ${rest} min` : `${minutes / 60} h`;
}

/**
 * The time left at this rate, or null if unknown.
 * @param {number} done
 * @param {number} size
 * @param {number} rate  bytes per second
 * @returns {string|null}
 */
export function timeLeft(done, size, rate) {
  return rate > 0 && done < size ? `${duration((size - done) / rate)} left` : null;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/**
 * @param {number} time
 * @returns {string} `14:02`, as the person's system writes it
 */
export function clock(time) {
  return clockFormat.format(time);
}

/**
 * @param {number} time
 * @returns {string} the same for all moments of one day where the person is
 */
export function dayKey(time) {
  const date = new Date(time);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/**
 * @param {number} time
 * @param {number} now
 * @returns {string} `Today`, `Yesterday`, `Tuesday, 24 November`
 */
export function day(time, now) {
  if (dayKey(time) === dayKey(now)) return "Today";
  const before = new Date(now);
  before.setDate(before.getDate() - 1);
  if (dayKey(time) === dayKey(before.getTime())) return "Yesterday";
  const sameYear = new Date(time).getFullYear() === new Date(now).getFullYear();
  const year = sameYear ? undefined : "numeric";
  const format = { weekday: "long", day: "numeric", month: "long", year };
  return new Intl.DateTimeFormat(undefined, format).format(time);
}

/**
 * @param {number} time
 * @param {number} now
 * @returns {string} `today 14:02`, `tomorrow 14:02`, `Friday, 4 December 14:02`
 */
export function moment(time, now) {
  const after = new Date(now);
  after.setDate(after.getDate() + 1);
  const key = dayKey(time);
  if (key === dayKey(now)) return `today ${clock(time)}`;
  return `${key === dayKey(after.getTime()) ? "tomorrow" : day(time, now)} ${clock(time)}`;
}

/**
 * The beginning of an id, short enough to be compared aloud.
 * @param {string} id
 * @returns {string} `3f9c 02aa 71b4 d00e`
 */
export function fingerprint(id) {
  return (id.slice(0, 16).match(/.{1,4}/g) ?? []).join(" ");
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/**
 * @param {number} others
 * @returns {string}
 */
export function people(others) {
  return others === 0 ? "Nobody else is here yet" : `${plural(others, "other")} here`;
}

/**
 * What kind of preview a file's name promises; klatch decides what it really serves.
 * @param {string} name
 * @returns {'image'|'audio'|'video'|'text'|null}
 */
export function previewKind(name) {
  const extension = /\.([^.]+)$/.exec(name)?.[1].toLowerCase();
  const kinds = Object.entries(PREVIEWS);
  return kinds.find(([, list]) => list.split(" ").includes(extension))?.[0] ?? null;
}

/** The same extensions as in `src/bridge/media.rs`. */
const PREVIEWS = {
  image: "png jpg jpeg gif webp avif",
  audio: "mp3 m4a aac ogg oga opus wav flac weba",
  video: "mp4 m4v webm ogv",
  text:
    "txt md log csv tsv json xml html htm svg css js mjs ts rs py sh c h cpp hpp go java " +
    "rb pl lua sql toml yaml yml ini conf tex diff patch srt vtt",
};
