// Bundles src/ into built/, with a manifest of the sources' SHA-256: the tests compare it with the sources.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST = 200_000; // bytes of all files, gzipped
const SETTINGS = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json"];

function files(folder) {
  const names = readdirSync(folder).map((name) => `${folder}/${name}`);
  return names.flatMap((name) => (statSync(name).isDirectory() ? files(name) : [name]));
}

rmSync("built", { recursive: true, force: true });
mkdirSync("built");
await build({
  entryPoints: { page: "src/main.tsx" },
  outdir: "built",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "utf8",
  legalComments: "none",
});
await build({ entryPoints: ["src/page.css"], outdir: "built", minify: true, charset: "utf8" });
writeFileSync("built/index.html", readFileSync("src/index.html"));

const size = files("built").reduce((sum, name) => sum + gzipSync(readFileSync(name)).length, 0);
if (size > MOST) throw new Error(`the built files have ${size} bytes gzipped, at most ${MOST} are allowed`);
const sources = [...SETTINGS, ...files("src")].sort();
const digests = sources.map((name) => [name, createHash("sha256").update(readFileSync(name)).digest("hex")]);
writeFileSync("built/manifest.json", `${JSON.stringify({ sources: Object.fromEntries(digests) }, null, 1)}\n`);
console.log(`built: ${(size / 1000).toFixed(1)} kB gzipped`);
