// Bundles what the pages use of other people's packages into the files beside this one. The results are committed, so that
// the twin runs with no npm and no other host; `npm ci && npm run build` gives the same bytes again.
//
// `node build.mjs [folder]` writes to `folder`, by default this one.

import { build } from "esbuild";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? here);
const modules = join(here, "node_modules");
mkdirSync(out, { recursive: true });

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "inline",
  logLevel: "warning",
};

// A stand-in for an import, by the name it is asked for.
const instead = (name, contents) => ({
  name: `instead of ${name}`,
  setup(bundler) {
    bundler.onResolve({ filter: new RegExp(`^${name}$`) }, () => ({ path: name, namespace: "instead" }));
    bundler.onLoad({ filter: /.*/, namespace: "instead" }, () => ({ contents, loader: "js" }));
  },
});

await build({
  ...common,
  stdin: { contents: 'export * from "maplibre-gl";', resolveDir: here },
  outfile: join(out, "maplibre.mjs"),
});
await build({
  ...common,
  entryPoints: [join(modules, "maplibre-gl/dist/maplibre-gl-worker.mjs")],
  outfile: join(out, "maplibre-worker.mjs"),
});
await build({
  ...common,
  entryPoints: [join(modules, "maplibre-gl/dist/maplibre-gl.css")],
  outfile: join(out, "maplibre.css"),
});
await build({
  ...common,
  stdin: {
    contents: `
      import * as core from "echarts/core";
      import { BarChart, GaugeChart, LineChart, PieChart } from "echarts/charts";
      import { DatasetComponent, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
      import { CanvasRenderer } from "echarts/renderers";
      core.use([BarChart, GaugeChart, LineChart, PieChart, DatasetComponent, GridComponent, LegendComponent,
        MarkLineComponent, TooltipComponent, CanvasRenderer]);
      export const { init, getInstanceByDom, registerLocale, version } = core;`,
    resolveDir: here,
  },
  // echarts asks for this to drop its developer messages
  define: { "process.env.NODE_ENV": '"production"', __DEV__: "false" },
  outfile: join(out, "echarts.mjs"),
});

// dash-mantine-components brings its own dayjs and looks for window["dayjs_locale_" + locale]: the locale alone, no dayjs.
await build({
  ...common,
  format: "iife",
  stdin: {
    contents: `import locale from "dayjs/locale/zh-cn.js"; window["dayjs_locale_zh-cn"] = window.dayjs_locale_zh_cn = locale;`,
    resolveDir: here,
  },
  plugins: [instead("dayjs", "export default { locale() {} };")],
  outfile: join(out, "dayjs-zh-cn.js"),
});

// Source maps are not shipped: a browser must not ask for them.
const withoutMap = (text) => text.replace(/\n?(\/\/# sourceMappingURL=\S+|\/\*# sourceMappingURL=\S+ ?\*\/)\s*$/, "\n");
for (const [from, to] of [
  ["swagger-ui-bundle.js", "swagger-ui.js"],
  ["swagger-ui.css", "swagger-ui.css"],
]) {
  writeFileSync(join(out, to), withoutMap(readFileSync(join(modules, "swagger-ui-dist", from), "utf8")));
}

writeFileSync(join(out, "LICENSES"), licences(["maplibre-gl", "echarts", "dayjs", "swagger-ui-dist"]));

// The licence and notice texts of the packages bundled and of all they bundle.
function licences(roots) {
  const found = new Set();
  const visit = (name) => {
    if (found.has(name) || !existsSync(join(modules, name))) return;
    found.add(name);
    Object.keys(manifest(name).dependencies ?? {}).forEach(visit);
  };
  roots.forEach(visit);
  // typings and an install-time counter: not in any bundle
  const bundled = [...found].filter((name) => !name.startsWith("@types/") && !name.startsWith("@scarf/"));
  const rule = "=".repeat(100);
  const parts = bundled.sort().map((name) => {
    const { version, license } = manifest(name);
    const folder = join(modules, name);
    const texts = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((f) => f.isFile() && /^(licen[cs]e|notice|copying)|ui-bundle\.js\.LICENSE\.txt$/i.test(f.name))
      .map((f) => join(f.parentPath ?? f.path, f.name))
      .sort()
      .map((f) => readFileSync(f, "utf8").replaceAll("\r\n", "\n").trim());
    return [rule, `${name} ${version} (${license ?? "see below"})`, rule, ...texts].join("\n\n");
  });
  return `The packages bundled in this folder, and their licences.\n\n${parts.join("\n\n")}\n`;
}

function manifest(name) {
  return JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));
}
