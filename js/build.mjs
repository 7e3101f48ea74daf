// Bundle the table. A style sheet becomes a minified text, since it is adopted by script (`src/style.ts`).
import { readFile } from "node:fs/promises";
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
  plugins: [sheets],
});
const [[path, { bytes, inputs }]] = Object.entries(metafile.outputs);
const say = (line) => process.stdout.write(`${line}\n`);
if (process.argv.includes("--sizes")) {
  for (const [name, input] of Object.entries(inputs)) say(`${input.bytesInOutput} ${name}`);
}
say(`${path}  ${(bytes / 1000).toFixed(1)} kB`);
