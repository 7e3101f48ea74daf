// Bundle the table and the chart. A style sheet becomes a minified text, since it is adopted by script
// (`src/adopt.ts`).
import { readFile, writeFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const STATIC = "../pgrt_jupyter/static";

const sheets = {
  name: "sheets",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const options = { loader: "css", minify: true, target: "chrome120", charset: "utf8" };
      const { code } = await transform(await readFile(path, "utf8"), options);
      // What a custom property holds is left alone by minifiers; ours have no spaces that mean anything.
      const contents = code
        .trim()
        .replace(/(--[\w-]+): /g, "$1:")
        .replace(/, /g, ",");
      return { contents, loader: "text" };
    });
  },
};

// Names that only our own objects have: neither the DOM, nor the model, nor a message.
const OURS = `
  shown marks flashes redraw firstPlace endPlace identity rowHeight isOpen isGrouped
  acknowledge unselect isHidden isRunning inView hiddenCount tick stopExport isSelected
  moved ids isTouched isInBlock searches memory
  hintAt columnOf cellOf arranged selects isAtTop grouped pages heard widths
  untell cellAt isAt toTop stays holds
  layout cursor asked become exported exporter tableMenu filterForm questions copier
  arranging outgoing grid drawn span reveal widen topOf hello tell turn keep take
  reach headOf scroller exports flush draw want look popup foot
  view active block page edge
`
  .trim()
  .split(/\s+/);

async function bundle(name, entry, options) {
  const outfile = `${STATIC}/${name}.js`;
  const { metafile } = await build({
    entryPoints: [`src/${entry}.ts`],
    outfile,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    plugins: [sheets],
    ...options,
  });
  return Object.values(metafile.outputs)[0].inputs;
}

/**
 * Shorten custom properties: those declared in our sheets are our own, so any names will do. Their uses
 * are a quarter of a sheet: `src/adopt.ts` writes them out.
 */
async function shorten(file) {
  let code = await readFile(file, "utf8");
  const names = [...new Set(code.match(/--[a-z]+(?=:)/g))];
  names.forEach((name, at) => {
    code = code.replace(new RegExp(`${name}(?![\\w-])`, "g"), `--${at.toString(36)}`);
  });
  await writeFile(file, code.replace(/var\(--(\w)\)/g, "$$$1"));
}

const say = (line) => process.stdout.write(`${line}\n`);
async function tell(name, inputs) {
  if (process.argv.includes("--sizes")) {
    for (const [file, input] of Object.entries(inputs)) say(`${input.bytesInOutput} ${file}`);
  }
  const code = await readFile(`${STATIC}/${name}.js`);
  say(`${name}.js  ${(code.byteLength / 1000).toFixed(1)} kB`);
}

const mangled = await bundle("widget", "widget", {
  mangleProps: new RegExp(`^(${OURS.join("|")})$`),
});
await shorten(`${STATIC}/widget.js`);
await tell("widget", mangled);

// The licence of what is bundled goes where its copies go.
const licence = await readFile("node_modules/uplot/LICENSE", "utf8");
const banner = {
  js: `/*! With uPlot (https://github.com/leeoniya/uPlot):\n\n${licence.trim()}\n*/`,
};
await tell("chart", await bundle("chart", "chart", { banner }));
