// How the components look. Every colour, font and distance can be set from outside by the custom
// properties of ailydian.css, and works without that file too.

const CSS = `
:host {
  --canvas: var(--ailydian-canvas, light-dark(#f6f7f9, #0b0e13));
  --surface: var(--ailydian-surface, light-dark(#ffffff, #12161d));
  --sunken: var(--ailydian-sunken, light-dark(#f1f3f6, #0e1218));
  --line: var(--ailydian-line, light-dark(#e4e8ed, #232a34));
  --line-strong: var(--ailydian-line-strong, light-dark(#c5ccd6, #3a4452));
  --text: var(--ailydian-text, light-dark(#14181f, #e9edf3));
  --muted: var(--ailydian-muted, light-dark(#566070, #9ba6b5));
  --accent: var(--ailydian-accent, light-dark(#0b6e7f, #58c5d6));
  --on-accent: var(--ailydian-on-accent, light-dark(#ffffff, #06171b));
  --accent-soft: var(--ailydian-accent-soft, light-dark(#e2f1f4, #10272d));
  --ok: var(--ailydian-ok, light-dark(#176f48, #5bd197));
  --ok-soft: var(--ailydian-ok-soft, light-dark(#e5f4ec, #11281e));
  --warn: var(--ailydian-warn, light-dark(#885400, #f0b849));
  --warn-soft: var(--ailydian-warn-soft, light-dark(#fcf2dc, #2b220f));
  --bad: var(--ailydian-bad, light-dark(#b92b2b, #ff8f86));
  --bad-soft: var(--ailydian-bad-soft, light-dark(#fcebea, #321a1a));
  --series-1: var(--ailydian-series-1, light-dark(#0b6e7f, #58c5d6));
  --series-2: var(--ailydian-series-2, light-dark(#c0670b, #f2aa63));
  --series-3: var(--ailydian-series-3, light-dark(#5c45a8, #b7a3f3));
  --radius: var(--ailydian-radius, 0.625rem);
  --radius-small: var(--ailydian-radius-small, 0.375rem);
  display: block;
  container-type: inline-size;
  color: var(--text);
  font-family: var(--ailydian-font, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto,
    "Noto Sans", sans-serif);
  font-size: 0.9375rem;
  line-height: 1.5;
}
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
*, ::before, ::after { box-sizing: border-box; }
p, h2, h3, h4, ol, ul, dl, dd, figure, fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
ol, ul { list-style: none; }
[hidden] { display: none !important; }
.unseen {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap;
}
.card {
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: var(--radius);
  box-shadow: var(--ailydian-shadow, 0 1px 2px light-dark(rgb(16 24 40 / 5%), rgb(0 0 0 / 35%)));
  overflow: clip;
}
.small { font-size: 0.8125rem; }
.muted { color: var(--muted); }
.strong { font-weight: 600; }
.figures { font-variant-numeric: tabular-nums; }
.icon {
  inline-size: 1.25em; block-size: 1.25em; flex: none; fill: none; stroke: currentColor;
  stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round;
}
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

button, select, textarea, input { font: inherit; color: inherit; letter-spacing: inherit; }
button {
  display: inline-flex; align-items: center; justify-content: center; gap: 0.5rem;
  min-block-size: 2.5rem; padding: 0.375rem 1rem; border-radius: var(--radius-small);
  border: 1px solid var(--line-strong); background: var(--surface); font-weight: 550; cursor: pointer;
}
button:hover { background: var(--sunken); }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.main:hover { filter: brightness(1.08); }
button.quiet { min-block-size: 2.25rem; padding-inline: 0.75rem; }
button.link {
  display: inline; min-block-size: 0; padding: 0; border: 0; background: none; font-weight: 550;
  color: var(--accent); text-decoration: underline; text-underline-offset: 0.2em;
}
button:disabled, button[aria-disabled="true"] { opacity: 0.5; cursor: not-allowed; filter: none; }
select, textarea {
  inline-size: 100%; padding: 0.5rem 0.75rem; border: 1px solid var(--line-strong);
  border-radius: var(--radius-small); background-color: var(--surface);
}
select {
  appearance: none; min-block-size: 2.5rem; padding-inline-end: 2.25rem; text-overflow: ellipsis;
  background-image: linear-gradient(45deg, transparent 50%, var(--muted) 50%),
    linear-gradient(135deg, var(--muted) 50%, transparent 50%);
  background-size: 0.35rem 0.35rem; background-repeat: no-repeat;
  background-position: right 1.1rem center, right 0.75rem center;
}
textarea { display: block; resize: vertical; min-block-size: 7rem; }
label, .label { display: block; font-weight: 550; font-size: 0.8125rem; }
.field > label, .field > .label { margin-block-end: 0.375rem; }
.actions { display: flex; flex-wrap: wrap; gap: 0.625rem; align-items: center; }
.tick { display: flex; gap: 0.625rem; align-items: center; font-weight: 450; font-size: 0.9375rem; cursor: pointer; }
.tick input { inline-size: 1.125rem; block-size: 1.125rem; margin: 0; accent-color: var(--accent); flex: none; }

.badge {
  display: inline-flex; align-items: center; gap: 0.375rem; padding: 0.0625rem 0.5rem;
  border-radius: 99rem; font-size: 0.75rem; font-weight: 600; white-space: nowrap;
  background: var(--sunken); color: var(--muted);
}
.badge.accent { background: var(--accent-soft); color: var(--accent); }
.badge.ok { background: var(--ok-soft); color: var(--ok); }
.badge.warn { background: var(--warn-soft); color: var(--warn); }
.badge.bad { background: var(--bad-soft); color: var(--bad); }

.problem, .notice {
  display: flex; gap: 0.75rem; padding: 0.75rem 0.875rem; border-radius: var(--radius-small);
  font-size: 0.875rem;
}
.problem > div, .notice > div { min-width: 0; display: grid; gap: 0.25rem; overflow-wrap: anywhere; }
.problem { background: var(--bad-soft); }
.problem > .icon { color: var(--bad); }
.problem button { justify-self: start; margin-block-start: 0.375rem; }
.notice { background: var(--warn-soft); }
.notice > .icon { color: var(--warn); }

.track { block-size: 0.5rem; border-radius: 99rem; background: var(--sunken); overflow: hidden; }
.fill { block-size: 100%; border-radius: 99rem; background: var(--accent); inline-size: 0; }
.track.busy .fill { inline-size: 35% !important; animation: slide 1.2s ease-in-out infinite; }
@keyframes slide { from { translate: -100%; } to { translate: 300%; } }

table { inline-size: 100%; border-collapse: collapse; font-size: 0.875rem; }
th, td { padding: 0.4375rem 0.75rem; text-align: end; border-block-end: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: start; padding-inline-start: 0; }
th:last-child, td:last-child { padding-inline-end: 0; }
thead th { font-size: 0.75rem; font-weight: 600; color: var(--muted); }
tbody th { font-weight: 500; }
.scroll { overflow-x: auto; }
details > summary {
  cursor: pointer; font-weight: 550; font-size: 0.875rem; padding-block: 0.25rem; border-radius: 0.25rem;
  list-style: none; display: flex; align-items: center; gap: 0.5rem; inline-size: fit-content;
}
details > summary::-webkit-details-marker { display: none; }
details > summary::before {
  content: ""; inline-size: 0.4rem; block-size: 0.4rem; border: solid var(--muted);
  border-width: 0 1.5px 1.5px 0; rotate: -45deg; transition: rotate 120ms;
}
details[open] > summary::before { rotate: 45deg; }

/* The panel. */
.panel { display: grid; }
.panel > .side { display: grid; gap: 1.125rem; align-content: start; padding: 1.25rem; }
.panel > .answer-side {
  padding: 1.25rem; border-block-start: 1px solid var(--line); background: var(--sunken);
  display: grid; gap: 1rem; align-content: start; min-width: 0;
}
@container (min-width: 44rem) {
  .panel { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .panel > .side { padding: 1.5rem; }
  .panel > .answer-side { padding: 1.5rem; border-block-start: 0; border-inline-start: 1px solid var(--line); }
}
.modelline { display: flex; flex-wrap: wrap; gap: 0.375rem 0.5rem; align-items: center; margin-block: 0.5rem 0.75rem; }
.modelline:last-child { margin-block-end: 0; }
.drop {
  position: relative; display: grid; place-items: center; min-block-size: 15rem; border-radius: var(--radius);
  border: 1.5px dashed var(--line-strong); background: var(--sunken); text-align: center; overflow: hidden;
  transition: border-color 120ms, background-color 120ms;
}
.drop.over { border-color: var(--accent); background: var(--accent-soft); }
.drop.filled { border-style: solid; border-width: 1px; border-color: var(--line); }
.invite { display: grid; gap: 0.375rem; justify-items: center; padding: 1.5rem 1rem; }
.invite > .icon { inline-size: 2rem; block-size: 2rem; color: var(--accent); margin-block-end: 0.25rem; }
.stage { position: relative; inline-size: fit-content; max-inline-size: 100%; line-height: 0; }
.stage img { max-inline-size: 100%; max-block-size: 24rem; display: block; }
.stage.asis img { image-orientation: none; }
.stage canvas { position: absolute; pointer-events: none; }
.stage.alone { inline-size: min(100%, 18rem); aspect-ratio: 1; background: var(--sunken); border-radius: var(--radius-small); }
.tile { display: grid; gap: 0.375rem; justify-items: center; padding: 2rem 1.25rem; }
.tile-foot { padding: 0.625rem; }
.tile > .icon { inline-size: 2.5rem; block-size: 2.5rem; color: var(--muted); }
.empty {
  display: grid; place-items: center; min-block-size: 8rem; text-align: center; color: var(--muted);
}
.answer-side:has(> .empty:only-child) { align-content: center; }
.verdict { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: end; gap: 0.25rem 1.5rem; }
.verdict .named { font-size: 1.625rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; overflow-wrap: anywhere; }
.verdict > :last-child { text-align: end; }
.verdict .value { font-size: 1.25rem; font-weight: 600; line-height: 1.25; }
.chances { display: grid; gap: 0.75rem; }
.chances li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0.3125rem 1rem; }
.chances .name { overflow-wrap: anywhere; }
.chances .track { grid-column: 1 / -1; background: color-mix(in srgb, var(--muted) 18%, transparent); }
.chances .fill { background: color-mix(in srgb, var(--muted) 75%, transparent); min-inline-size: 2px; }
.chances .first { font-weight: 600; }
.chances .first .fill { background: var(--accent); }
.heat { display: grid; gap: 0.625rem; border-block-start: 1px solid var(--line); padding-block-start: 1rem; }
.heat label { display: flex; align-items: center; gap: 0.75rem; }
.heat input[type="range"] { flex: 1; min-inline-size: 6rem; accent-color: var(--accent); block-size: 1.5rem; margin: 0; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
.key span { display: inline-flex; align-items: center; gap: 0.4375rem; }
.key i { inline-size: 0.75rem; block-size: 0.75rem; border-radius: 0.1875rem; }
.key .for { background: rgb(255 106 43); }
.key .against { background: rgb(53 132 228); }
.meta { display: flex; flex-wrap: wrap; gap: 0.125rem 0.75rem; overflow-wrap: anywhere; }
.queue { display: grid; gap: 0.375rem; max-block-size: 22rem; overflow-y: auto; padding: 2px; margin: -2px; }
.queue button {
  inline-size: 100%; display: grid; grid-template-columns: 2.75rem minmax(0, 1fr) auto; gap: 0.25rem 0.75rem;
  justify-items: start; text-align: start; padding: 0.375rem 0.75rem 0.375rem 0.375rem; font-weight: 450;
  border-color: var(--line);
}
.queue button[aria-current="true"] { border-color: var(--accent); background: var(--accent-soft); }
.queue .thumb {
  inline-size: 2.75rem; block-size: 2.75rem; border-radius: 0.25rem; object-fit: cover; background: var(--sunken);
  display: grid; place-items: center; color: var(--muted);
}
.queue .track { inline-size: 100%; block-size: 0.25rem; margin-block-start: 0.25rem; }
.queue .what { inline-size: 100%; min-width: 0; }

/* The questions. */
.ask { display: grid; }
.turns { display: grid; }
.turn { display: grid; gap: 0.75rem; padding: 1.25rem; border-block-end: 1px solid var(--line); }
.question {
  justify-self: end; max-inline-size: min(90%, 40rem); padding: 0.5rem 0.875rem; background: var(--accent-soft);
  border-radius: var(--radius) var(--radius) 0.25rem var(--radius); white-space: pre-wrap; overflow-wrap: anywhere;
}
.said { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 1rem; line-height: 1.6; max-inline-size: 70ch; }
.said.flowing::after {
  content: ""; display: inline-block; inline-size: 0.5rem; block-size: 1.05em; margin-inline-start: 0.1875rem;
  vertical-align: -0.15em; background: var(--accent); animation: blink 1s steps(2) infinite;
}
@keyframes blink { 50% { opacity: 0; } }
.who { display: flex; flex-wrap: wrap; gap: 0.375rem 0.625rem; align-items: center; }
.facts { display: flex; flex-wrap: wrap; gap: 0.375rem 1.75rem; }
.facts dt { font-size: 0.75rem; color: var(--muted); }
.facts dd { font-weight: 600; }
.foot { display: flex; flex-wrap: wrap; gap: 0.75rem 1.5rem; justify-content: space-between; align-items: end; }
.thumbs { display: flex; gap: 0.375rem; align-items: center; }
.thumbs button { min-block-size: 2.25rem; inline-size: 2.5rem; padding: 0; color: var(--muted); }
.thumbs button[aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.why { display: grid; gap: 0.75rem; padding-block: 0.5rem 0.25rem; max-inline-size: 34rem; }
.scale { position: relative; block-size: 0.625rem; border-radius: 99rem; overflow: clip; display: flex; gap: 2px; background: var(--surface); }
.scale i { block-size: 100%; }
.scale .simple { background: color-mix(in srgb, var(--accent) 25%, var(--surface)); }
.scale .medium { background: color-mix(in srgb, var(--accent) 50%, var(--surface)); }
.scale .complex { background: color-mix(in srgb, var(--accent) 75%, var(--surface)); }
.scale b { position: absolute; inset-block: 0; inline-size: 4px; margin-inline-start: -2px; background: var(--text); }
.compose { display: grid; gap: 0.75rem; padding: 1.25rem; }
.compose textarea { min-block-size: 4.5rem; }
.compose .actions { justify-content: space-between; }
@container (min-width: 44rem) { .turn, .compose { padding-inline: 1.5rem; } }

/* The days. */
.trend { display: grid; gap: 1rem; padding: 1.25rem; }
@container (min-width: 44rem) { .trend { padding: 1.5rem; } }
.trend > header { display: flex; flex-wrap: wrap; gap: 0.75rem 1.5rem; align-items: center; justify-content: space-between; }
.trend .title { font-size: 1rem; line-height: 1.4; font-weight: 600; overflow-wrap: anywhere; }
.segments { display: flex; flex-wrap: wrap; gap: 2px; padding: 3px; border-radius: var(--radius); background: var(--sunken); }
.segments label { position: relative; cursor: pointer; }
.segments input { position: absolute; inset: 0; opacity: 0; margin: 0; cursor: pointer; }
.segments span { display: block; padding: 0.3125rem 0.75rem; border-radius: var(--radius-small); color: var(--muted); }
.segments :checked + span { background: var(--surface); color: var(--accent); box-shadow: 0 0 0 1px var(--line-strong); }
.segments :focus-visible + span { outline: 2px solid var(--accent); outline-offset: 1px; }
.pickrow { max-inline-size: 22rem; }
.chart { position: relative; min-block-size: 14rem; }
.chart svg.plot { display: block; inline-size: 100%; block-size: 14rem; overflow: visible; }
.chart text { fill: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .base { stroke: var(--line-strong); stroke-width: 1; }
.chart .s1 { fill: var(--series-1); } .chart .s2 { fill: var(--bad); }
.chart path { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.chart path.l1, .chart circle.l1 { stroke: var(--series-1); } .chart path.l2, .chart circle.l2 { stroke: var(--series-2); }
.chart path.l3, .chart circle.l3 { stroke: var(--series-3); }
.chart path.l2 { stroke-dasharray: 6 4; } .chart path.l3 { stroke-dasharray: 1.5 4.5; }
.chart circle { fill: var(--surface); stroke-width: 2; }
.chart .lit { fill: color-mix(in srgb, var(--muted) 12%, transparent); }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; align-items: baseline; }
.legend dt, .legend dd { line-height: 1.5; }
.legend div { display: inline-flex; gap: 0.4375rem; align-items: center; }
.legend dd { font-weight: 600; }
.legend svg { inline-size: 1.25rem; block-size: 0.75rem; flex: none; }
.legend svg rect.s1 { fill: var(--series-1); } .legend svg rect.s2 { fill: var(--bad); }
.legend svg path { fill: none; stroke-width: 2.5; }
.legend svg .l1 { stroke: var(--series-1); } .legend svg .l2 { stroke: var(--series-2); stroke-dasharray: 5 3; }
.legend svg .l3 { stroke: var(--series-3); stroke-dasharray: 1.5 3.5; stroke-linecap: round; }

@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important; }
  .track.busy .fill { inline-size: 100% !important; opacity: 0.5; }
}
@media (forced-colors: active) {
  .fill, .key i, .scale i, .scale b { forced-color-adjust: none; }
}
`;

let made;

/** The one style sheet of all components; made on first use, shared by every element. */
export function sheet() {
  if (!made) {
    made = new CSSStyleSheet();
    made.replaceSync(CSS);
  }
  return made;
}
