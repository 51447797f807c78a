// Builds what browsers load: one stylesheet and one script a surface, the icons in
// use as one sprite, fonts. Names carry a hash of the content, so that they can be
// kept for ever; manifest.json maps the plain names to them.
//
//   npm ci && node themes/assets/build.mjs
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const dist = join(here, "..", "dist");

// Upper bounds in bytes of gzip, so that a bundle cannot grow unseen.
const budget = { ".css": 40_000, ".js": 30_000 };

const files = new Map(); // plain name -> contents

async function bundles() {
  const css = readdirSync(join(here, "css")).filter((f) => f.startsWith("bundle-"));
  const result = await build({
    absWorkingDir: root,
    entryPoints: [
      ...css.map((f) => ({ in: join(here, "css", f), out: basename(f, ".css").slice("bundle-".length) })),
      ...["boot", "shop", "console", "pay"].map((n) => ({ in: join(here, "js", n + ".js"), out: n })),
    ],
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome123", "edge123", "firefox128", "safari17.5"],
    loader: { ".woff2": "file" },
    assetNames: "[name]-[hash]",
    outdir: dist,
    write: false,
    legalComments: "none",
    logLevel: "warning",
  });
  for (const out of result.outputFiles) files.set(basename(out.path), Buffer.from(out.contents));
}

// Every icon that a template or a Go file names, in one file of symbols.
function sprite() {
  const wanted = new Map();
  const note = (name, file) => wanted.set(name, wanted.get(name) ?? relative(root, file));
  const walk = (dir, visit) => {
    if (!existsSync(dir)) return;
    for (const e of readdirSync(dir, { withFileTypes: true })) {
      if (e.isDirectory()) walk(join(dir, e.name), visit);
      else visit(join(dir, e.name));
    }
  };
  walk(join(root, "themes"), (f) => {
    if (extname(f) !== ".html") return;
    const text = readFileSync(f, "utf8");
    for (const m of text.matchAll(/\bicon "([a-z0-9-]+)"/g)) note(m[1], f);
    for (const m of text.matchAll(/"Icon" "([a-z0-9-]+)"/g)) note(m[1], f);
  });
  for (const d of ["branding", "central", "tenant", "cmd"]) {
    walk(join(root, d), (f) => {
      if (extname(f) !== ".go") return;
      const text = readFileSync(f, "utf8");
      for (const m of text.matchAll(/\b[Ii]con:?\s*[:=(]\s*"([a-z0-9-]+)"/g)) note(m[1], f);
      for (const m of text.matchAll(/"([a-z0-9-]+)",?\s*\/\/ icon\b/g)) note(m[1], f);
    });
  }
  const symbols = [];
  for (const name of [...wanted.keys()].sort()) {
    const file = join(root, "node_modules", "@tabler", "icons", "icons", "outline", name + ".svg");
    if (!existsSync(file)) throw new Error(`icon "${name}", named in ${wanted.get(name)}, is not an outline icon of @tabler/icons`);
    const body = readFileSync(file, "utf8").replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "")
      .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*\/>/, "").replace(/\s*\n\s*/g, "");
    symbols.push(`<symbol id="${name}" viewBox="0 0 24 24">${body}</symbol>`);
  }
  files.set("icons.svg", Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>`));
}

function write() {
  const next = dist + ".next";
  rmSync(next, { recursive: true, force: true });
  mkdirSync(next, { recursive: true });
  const manifest = {};
  const report = [];
  for (const [name, body] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const ext = extname(name);
    const hash = createHash("sha256").update(body).digest("hex").slice(0, 12);
    // Fonts are named in the stylesheets, so they already carry their hash.
    const hashed = ext === ".woff2" ? name : `${basename(name, ext)}-${hash}${ext}`;
    manifest[name] = hashed;
    writeFileSync(join(next, hashed), body);
    if (ext === ".woff2") continue;
    const gz = gzipSync(body, { level: 9 });
    writeFileSync(join(next, hashed + ".gz"), gz);
    writeFileSync(join(next, hashed + ".br"), brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
    report.push([hashed, body.length, gz.length]);
    if (budget[ext] && gz.length > budget[ext]) throw new Error(`${name}: ${gz.length} bytes of gzip are over the budget of ${budget[ext]}`);
  }
  writeFileSync(join(next, "manifest.json"), JSON.stringify(manifest, null, 1) + "\n");
  writeFileSync(join(next, ".keep"), existsSync(join(dist, ".keep")) ? readFileSync(join(dist, ".keep")) : "");
  rmSync(dist, { recursive: true, force: true });
  renameSync(next, dist);
  for (const [name, size, gz] of report) console.log(`${name.padEnd(34)} ${String(size).padStart(8)}  gzip ${String(gz).padStart(7)}`);
}

await bundles();
files.set("favicon.svg", readFileSync(join(here, "favicon.svg")));
sprite();
write();
