// Plotly, loaded when the first chart is shown, and the little of it that all charts share. It asks no
// other host for anything: there are no maps here, and nothing is sent to be drawn elsewhere.

const PLACE = "../vendor/plotly.min.js"; // a classic script: it leaves itself at `self.Plotly`

/** @type {Promise<any>|null} */
let loading = null;

/** @returns {Promise<any>} */
export function plotly() {
  loading ??= import(PLACE).then(() => /** @type {any} */ (globalThis).Plotly).catch((error) => {
    loading = null; // the next drawing asks again
    throw error;
  });
  return loading;
}

/** Whether this browser draws in three dimensions. */
export function hasDepth() {
  const context = document.createElement("canvas").getContext("webgl");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return context !== null;
}

export const NARROW = 520; // pixels: a chart that is not wider has its legend below

const FLAT = [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]];
const DEEP = [["orbitRotation", "pan3d", "zoom3d"], ["resetCameraDefault3d"]];

/** @param {boolean} deep whether it has three dimensions */
export function settings(deep) {
  return {
    displaylogo: false, displayModeBar: true, modeBarButtons: deep ? DEEP : FLAT, plotlyServerURL: "", topojsonURL: "",
    showTips: false, doubleClick: "reset", scrollZoom: false,
  };
}

/**
 * What every chart looks like; `more` has the last word.
 * @param {import("./theme.js").Colours} colours @param {number} width @param {number} height @param {any} more
 */
export function dressed(colours, width, height, more) {
  const touch = matchMedia("(pointer: coarse)").matches;
  const { margin = {}, scene, ...rest } = more;
  const narrow = width < NARROW;
  const layout = {
    width, height, autosize: false, paper_bgcolor: colours.card, plot_bgcolor: colours.card,
    font: { family: "system-ui, sans-serif", size: 12, color: colours.ink },
    margin: { l: narrow ? 52 : 64, r: narrow ? 14 : 20, t: 34, b: 44, ...margin },
    hovermode: "x unified", dragmode: touch ? false : "zoom",
    hoverlabel: { bgcolor: colours.card, bordercolor: colours["line-strong"], align: "left",
      font: { family: "ui-monospace, monospace", size: 12, color: colours.ink } },
    legend: { orientation: "h", x: 0, xanchor: "left", yref: "container", y: narrow ? 0.005 : 0.995,
      yanchor: narrow ? "bottom" : "top", font: { color: colours.ink } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colours.soft, activecolor: colours.accent },
    ...rest,
  };
  for (const [key, value] of Object.entries(layout)) {
    if (/^[xy]axis\d*$/.test(key)) layout[key] = axis(colours, value);
  }
  if (scene !== undefined) {
    layout.scene = { ...scene };
    for (const key of ["xaxis", "yaxis", "zaxis"]) layout.scene[key] = axis(colours, scene[key]);
  }
  return layout;
}

/** @param {import("./theme.js").Colours} colours @param {any} more */
function axis(colours, more) {
  return {
    gridcolor: colours.line, linecolor: colours["line-strong"], zerolinecolor: colours["line-strong"],
    tickfont: { color: colours.soft }, automargin: true, separatethousands: true, exponentformat: "none",
    ...more, title: { font: { size: 12, color: colours.soft }, standoff: 8, ...more.title },
  };
}

/**
 * Round places on an axis, written as the market writes numbers, and a range around what is there.
 * @param {number} low @param {number} high
 * @param {(value: number, digits: number) => string} write with the digits that tell the places apart
 * @param {{from?: number, count?: number}} [how] `from`: what the axis begins with in any case
 */
export function scale(low, high, write, { from, count = 5 } = {}) {
  const bottom = from === undefined ? low : Math.min(from, low);
  const spread = Math.max(from ?? high, high) - bottom;
  // Ends that differ by rounding alone are one: steps between them would be lost in the places' own size.
  const span = spread > Math.max(1e-9 * Math.abs(bottom), 1e-200) ? spread : Math.abs(bottom) * 0.01 || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = power * ([1, 2, 2.5, 5].find((each) => each * power * count >= span) ?? 10);
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9) + (step / power === 2.5 ? 1 : 0));
  const floor = from !== undefined && low >= from ? bottom : bottom - span * 0.06;
  const range = [floor, bottom + span * 1.06];
  const tickvals = [];
  for (let at = Math.ceil(range[0] / step); at * step <= range[1]; at += 1) tickvals.push(at * step || 0);
  return { tickmode: "array", tickvals, ticktext: tickvals.map((value) => write(value, digits)), range };
}

/**
 * What a pane shows and in which unit, above its corner.
 * @param {string} text @param {number} y @param {import("./theme.js").Colours} colours
 */
export function heading(text, y, colours) {
  return { text, xref: "paper", yref: "paper", x: 0, y, xanchor: "left", yanchor: "bottom", showarrow: false,
    font: { size: 11, color: colours.soft } };
}

/**
 * A PNG of a chart, with its title in it.
 * @param {any} node @param {string} title @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function picture(node, title) {
  const { width, height, margin } = node.layout;
  const layout = {
    ...node.layout, height: height + 36, margin: { ...margin, t: margin.t + 36 },
    title: { text: title, x: 0.01, xanchor: "left", yref: "container", y: 0.985, yanchor: "top", font: { size: 15 } },
  };
  const shown = { data: node.data, layout, config: { plotlyServerURL: "" } };
  const address = await (await plotly()).toImage(shown, { format: "png", width, height: height + 36, scale: 2 });
  return Uint8Array.from(atob(address.slice(address.indexOf(",") + 1)), (each) => each.charCodeAt(0));
}
