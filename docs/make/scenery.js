/** What the people in the pictures share: drawn here, so that it is ours. */

import { execFileSync } from "node:child_process";
import { truncate, writeFile } from "node:fs/promises";
import path from "node:path";

const LAKE = `<!doctype html><style>body{margin:0}</style>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1600 1000" width="1600" height="1000">
  <defs>
    <linearGradient id="sky" x1="0" y1="0" x2="0" y2="1">
      <stop offset="0" stop-color="#2b3a5c"/><stop offset=".45" stop-color="#c9796a"/>
      <stop offset=".62" stop-color="#f4c48a"/>
    </linearGradient>
    <linearGradient id="lake" x1="0" y1="0" x2="0" y2="1">
      <stop offset="0" stop-color="#eeb67f"/><stop offset=".5" stop-color="#8f6a76"/>
      <stop offset="1" stop-color="#232d49"/>
    </linearGradient>
  </defs>
  <rect width="1600" height="640" fill="url(#sky)"/>
  <circle cx="1090" cy="540" r="64" fill="#fff1d6"/>
  <path d="M0 520 260 330 430 460 660 280 900 500 1130 400 1380 530 1600 450V640H0z" fill="#6d5a72"/>
  <path d="M0 600 210 470 420 580 700 460 980 600 1270 520 1600 600V640H0z" fill="#43405c"/>
  <rect y="620" width="1600" height="380" fill="url(#lake)"/>
  <g fill="#ffe9c7" opacity=".55">
    <rect x="1010" y="650" width="160" height="5"/><rect x="1040" y="684" width="110" height="5"/>
    <rect x="990" y="722" width="190" height="6"/><rect x="1050" y="770" width="90" height="6"/>
    <rect x="1015" y="830" width="140" height="7"/>
  </g>
  <path d="M0 1000V840q120-70 260-40t260 60 220 140z" fill="#151a2b"/>
  <path d="M180 830l26-150 26 150zM250 850l34-210 34 210zM90 860l24-130 24 130z" fill="#0f1322"/>
</svg>`;

/**
 * @param {import("playwright-core").Browser} browser
 * @param {string} folder
 */
export async function scenery(browser, folder) {
  const at = (name) => path.join(folder, name);
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
  await page.setContent(LAKE);
  await page.screenshot({ path: at("lake-at-six.jpg"), type: "jpeg", quality: 90 });
  await page.close();
  await writeFile(
    at("packing-list.txt"),
    "tent (the big one)\nstove, gas, matches\nrope, 20 m\nbread, coffee, more coffee\nthe dog's blanket\n",
  );
  // The lake, slowly drawing nearer; behind it nothing, to make the file as long as films are.
  const zoom =
    "zoompan=z='1+0.0008*on':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=300:s=1280x720:fps=30";
  execFileSync("ffmpeg", [
    "-v",
    "error",
    "-y",
    "-i",
    at("lake-at-six.jpg"),
    "-vf",
    zoom,
    "-c:v",
    "libvpx",
    "-b:v",
    "2M",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    at("swim-at-six.webm"),
  ]);
  await truncate(at("swim-at-six.webm"), 6_240_000_000);
  return at;
}
