// flask-ailydian's components: <ailydian-panel>, <ailydian-ask> and <ailydian-trend>.
//
//   <script type="module" src="{{ url_for('ailydian.static', filename='ailydian.js') }}"></script>
//
// No dependency, no build step; what they take and tell is typed in ailydian.d.ts.

export { AilydianAsk } from "./ailydian/ask.js";
export { Problem } from "./ailydian/base.js";
export { AilydianPanel } from "./ailydian/panel.js";
export { AilydianTrend } from "./ailydian/trend.js";
