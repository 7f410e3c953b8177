/** A terminal that can be photographed: tmux runs it, and a page draws what stands on it. */

import { execFileSync } from "node:child_process";

const SOCKET = `klatch-pictures-${process.pid}`;
const PALETTE = [
  "#3b332c",
  "#e06c5f",
  "#8fc27a",
  "#e2b25f",
  "#7fa7dd",
  "#c795cf",
  "#74c2bd",
  "#efe6d8",
  "#8c7f70",
  "#f2998e",
  "#b0dba0",
  "#f2cf8e",
  "#a6c4ee",
  "#deb6e4",
  "#9edcd7",
  "#fffdf8",
];

const tmux = (...words) => execFileSync("tmux", ["-L", SOCKET, ...words], { encoding: "utf8" });

/** Ends all terminals. */
export function endTerminals() {
  try {
    tmux("kill-server");
  } catch {
    // There was none.
  }
}

/** One window of tmux. */
export class Terminal {
  /**
   * @param {string} name
   * @param {string} command  for the shell
   * @param {{columns?: number, rows?: number}} [size]
   */
  constructor(name, command, { columns = 92, rows = 24 } = {}) {
    this.name = name;
    this.rows = rows;
    const size = ["-x", String(columns), "-y", String(rows)];
    tmux("-f", "/dev/null", "new-session", "-d", "-s", name, ...size, "sh", "-c", command);
    tmux("set-option", "-t", name, "status", "off");
  }

  /** Types a line and enters it. */
  line(text) {
    tmux("send-keys", "-t", this.name, "-l", text);
    tmux("send-keys", "-t", this.name, "Enter");
  }

  /** Types without entering. */
  keys(text) {
    tmux("send-keys", "-t", this.name, "-l", text);
  }

  enter() {
    tmux("send-keys", "-t", this.name, "Enter");
  }

  /** What stands on it, without colours. */
  text() {
    return tmux("capture-pane", "-p", "-t", this.name);
  }

  /** Waits until the pattern stands on it; resolves with the match. */
  async sees(pattern, deadline_ms = 60_000) {
    const end = Date.now() + deadline_ms;
    for (;;) {
      const match = pattern.exec(this.text());
      if (match) return match;
      if (Date.now() > end) throw new Error(`no ${pattern} on ${this.name}:\n${this.text()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** A page of HTML that looks like it. */
  html({ title = this.name, caption = "" } = {}) {
    const screen = tmux("capture-pane", "-e", "-p", "-t", this.name).replace(/\n+$/, "");
    const [column, row] = tmux("display", "-p", "-t", this.name, "#{cursor_x} #{cursor_y}")
      .trim()
      .split(" ")
      .map(Number);
    const lines = screen.split("\n");
    while (lines.length <= row) lines.push("");
    let style = {};
    const drawn = lines.map((text, at) => {
      const line = drawLine(text, at === row ? column : -1, style);
      // A line begins in the style in which the one before it ended.
      style = line.style;
      return line.html;
    });
    return (
      `<!doctype html><meta charset="utf-8"><style>
      body { margin: 0; background: #f6f1e8; font-family: "Noto Sans", sans-serif;
        display: flex; flex-direction: column; height: 100vh; box-sizing: border-box; padding: 20px; }
      .window { flex: 1; border-radius: 12px; overflow: hidden; background: #171310; color: #efe6d8;
        box-shadow: 0 10px 34px rgb(60 40 20 / 25%); display: flex; flex-direction: column; min-height: 0; }
      .title { padding: 9px 16px; background: #201b17; color: #b9ac9b; font-size: 13px; text-align: center; }
      pre { margin: 0; padding: 16px 20px; flex: 1; overflow: hidden; white-space: pre-wrap;
        font: 14px/1.5 "Noto Sans Mono", "DejaVu Sans Mono", monospace; }
      .cursor { background: #f2a07a; color: #171310; }
      .caption { font: italic 27px/1.3 "Noto Serif", serif; color: #241d17; padding: 18px 4px 2px;
        min-height: 71px; }
      .caption:empty { display: none; }
    </style><div class="window"><div class="title">${plain(title)}</div><pre>${drawn.join("\n")}</pre></div>` +
      `<div class="caption">${plain(caption)}</div>`
    );
  }
}

function plain(text) {
  return text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** One line with its SGR codes as spans, and the cursor where it stands; and its last style. */
function drawLine(text, cursor, before) {
  let style = before;
  let column = 0;
  let out = "";
  const put = (c) => {
    const at = column === cursor;
    column += 1;
    const css = cssOf(style);
    const inner = at ? `<span class="cursor">${plain(c)}</span>` : plain(c);
    out += css ? `<span style="${css}">${inner}</span>` : inner;
  };
  for (const [piece, codes] of text.matchAll(/\x1b\[([\d;]*)m|[^\x1b]/gu)) {
    if (codes === undefined) put(piece);
    else style = sgr(style, codes.split(";").map(Number));
  }
  while (column <= cursor) put(" ");
  return { html: out, style };
}

function sgr(before, codes) {
  let style = { ...before };
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.reverse = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.reverse = false;
    else if (code >= 30 && code <= 37) style.color = PALETTE[code - 30];
    else if (code >= 90 && code <= 97) style.color = PALETTE[code - 82];
    else if (code === 39) style.color = undefined;
    else if (code === 38 && codes[i + 1] === 5) style.color = indexed(codes[(i += 2)]);
    else if (code === 38 && codes[i + 1] === 2) {
      style.color = `rgb(${codes.slice(i + 2, i + 5).join(" ")})`;
      i += 4;
    }
  }
  return style;
}

function indexed(index) {
  if (index < 16) return PALETTE[index];
  if (index >= 232)
    return `rgb(${Array(3)
      .fill(8 + (index - 232) * 10)
      .join(" ")})`;
  const cube = (step) => (step ? 55 + step * 40 : 0);
  const at = index - 16;
  return `rgb(${cube(Math.floor(at / 36))} ${cube(Math.floor(at / 6) % 6)} ${cube(at % 6)})`;
}

function cssOf({ bold, dim, italic, underline, reverse, color }) {
  const parts = [];
  if (reverse) parts.push(`background:${color ?? "#efe6d8"};color:#171310`);
  else if (color) parts.push(`color:${color}`);
  if (bold) parts.push("font-weight:600");
  if (dim) parts.push("opacity:.65");
  if (italic) parts.push("font-style:italic");
  if (underline) parts.push("text-decoration:underline");
  return parts.join(";");
}
