// Bundle the table. A style sheet becomes a minified text, since it is adopted by script (`src/style.ts`).
import { readFile, writeFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const sheets = {
  name: "sheets",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const options = { loader: "css", minify: true, target: "chrome120" };
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
  moved ids selectAll isTouched isInBlock exporting unfilter searches memory
  hintAt columnOf cellOf arranged selects laidOut isAtTop grouped pages heard widths
  untell cellAt isAt toTop stays refreshes
`
  .trim()
  .split(/\s+/);

const { metafile } = await build({
  entryPoints: ["src/widget.ts"],
  outfile: "../pgrt_jupyter/static/widget.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  mangleProps: new RegExp(`^(${OURS.join("|")})$`),
  plugins: [sheets],
});
// Custom properties declared in the sheet are the table's own, so any names will do.
const file = "../pgrt_jupyter/static/widget.js";
let bundle = await readFile(file, "utf8");
const names = [...new Set(bundle.match(/--[a-z]+(?=:)/g))];
names.forEach((name, at) => {
  bundle = bundle.replace(new RegExp(`${name}(?![\\w-])`, "g"), `--${at.toString(36)}`);
});
await writeFile(file, bundle);

const [[path, { inputs }]] = Object.entries(metafile.outputs);
const say = (line) => process.stdout.write(`${line}\n`);
if (process.argv.includes("--sizes")) {
  for (const [name, input] of Object.entries(inputs)) say(`${input.bytesInOutput} ${name}`);
}
say(`${path}  ${(Buffer.byteLength(bundle) / 1000).toFixed(1)} kB`);
