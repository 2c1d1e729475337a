// Reads requests, one JSON object a line, and says which do not follow GitHub's OpenAPI description: unknown paths, parameters
// or keys of a body, wrong types. Exits 1 where one does not.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const Ajv = require('ajv');

const folder = path.dirname(require.resolve('@octokit/openapi/package.json'));
const api = JSON.parse(fs.readFileSync(path.join(folder, 'generated/api.github.com.json'), 'utf8'));
const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: true, logger: false });

const follow = (node) => {
  if (Array.isArray(node)) return node.map(follow);
  if (!node || typeof node !== 'object') return node;
  if (node.$ref) return follow(node.$ref.slice(2).split('/').reduce((at, key) => at[key], api));
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, follow(value)]));
};

const segments = (text) => text.split('/').slice(1);
// `{ref}` and `{path}` may hold slashes.
const match = (template, given) => {
  const wanted = segments(template);
  const parameters = {};
  for (const [at, part] of wanted.entries()) {
    if (!part.startsWith('{')) {
      if (part !== given[at]) return null;
    } else if (at === wanted.length - 1 && /^\{(ref|path)\}$/.test(part)) {
      if (given.length < wanted.length) return null;
      parameters[part.slice(1, -1)] = given.slice(at).join('/');
      return parameters;
    } else {
      if (given[at] === undefined) return null;
      parameters[part.slice(1, -1)] = given[at];
    }
  }
  return given.length === wanted.length ? parameters : null;
};

const complaints = ({ method, path: target, body }) => {
  const [route, query] = target.split('?');
  const given = segments(route);
  const found = Object.keys(api.paths)
    .filter((template) => api.paths[template][method.toLowerCase()])
    .map((template) => ({ template, parameters: match(template, given) }))
    .filter(({ parameters }) => parameters)
    // The most literal template is meant.
    .sort((a, b) => a.template.split('{').length - b.template.split('{').length)[0];
  if (!found) return ['no such operation'];
  const operation = api.paths[found.template][method.toLowerCase()];
  const all = [];
  const check = (what, schema, value) => {
    const valid = ajv.compile(follow(schema));
    if (!valid(value)) all.push(...valid.errors.map((error) => `${what}${error.instancePath} ${error.message}`));
  };
  const declared = follow(operation.parameters ?? []);
  const known = (place) => new Map(declared.filter((p) => p.in === place).map((p) => [p.name, p]));
  const paths = known('path');
  for (const [name, value] of Object.entries(found.parameters)) {
    if (!paths.has(name)) all.push(`path parameter ${name} is not described`);
    else check(`path parameter ${name}`, { type: 'object', properties: { value: paths.get(name).schema } }, { value });
  }
  const queries = known('query');
  for (const [name, value] of new URLSearchParams(query ?? '')) {
    if (!queries.has(name)) all.push(`query parameter ${name} is not described`);
    else check(`query parameter ${name}`, { type: 'object', properties: { value: queries.get(name).schema } }, { value });
  }
  const content = operation.requestBody && follow(operation.requestBody).content['application/json'];
  if (!content) {
    if (body !== null) all.push('a body where none is described');
    return all;
  }
  check('body', content.schema, body);
  const keys = content.schema.properties;
  for (const key of Object.keys(keys ? body ?? {} : {})) {
    if (!(key in keys)) all.push(`body key ${key} is not described`);
  }
  return all;
};

const requests = fs.readFileSync(0, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
let wrong = 0;
for (const request of requests) {
  for (const complaint of complaints(request)) {
    wrong += 1;
    console.log(`${request.method} ${request.path}: ${complaint}`);
  }
}
console.log(`${requests.length} requests, ${wrong} complaints`);
process.exit(wrong ? 1 : 0);
