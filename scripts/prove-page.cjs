// The part of scripts/prove-page that drives the browser.
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync } = require('child_process');
const axe = require('axe-core');

const [chromium, program, pictures] = process.argv.slice(2);
const FIXTURE = JSON.parse(fs.readFileSync('tests/fixtures/report/mixed.json'));
const DESKTOP = { width: 1200, height: 900 };
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

// A thousand gates, of which every tenth failed; and a single pass.
function made(count, status) {
  const ids = Array.from({ length: count }, (_, n) => `cpu:gate_number_${n}`);
  const results = Object.fromEntries(ids.map((id, n) => [id, status(n)
    ? { status: 'pass', reason: null, rc: 0, duration_s: 1.5 }
    : { status: 'fail', reason: 'exit_code', rc: 2, duration_s: 0.5 }]));
  const overall = ids.every((id) => results[id].status === 'pass') ? 'pass' : 'fail';
  return { ...FIXTURE, bundle: 'many', gate_ids: ids, uncovered: [], overall, results };
}

// A comparison with both arms.
function compared() {
  const arm = (level, n) => Array.from({ length: 20 }, (_, k) => level + 40 * Math.sin(k + n));
  const pairs = Array.from({ length: 5 }, (_, n) => ({ ...FIXTURE.results['perf:baseline_delta'].perf.pairs[0],
    baseline_samples: arm(12345, n), result_samples: arm(12200, n + 1) }));
  const results = structuredClone(FIXTURE);
  results.results['perf:baseline_delta'].perf.pairs = pairs;
  return results;
}

const PAGES = {
  mixed: FIXTURE,
  one: made(1, () => true),
  thousand: made(1000, (n) => n % 10 !== 0),
  compared: compared(),
};

const failures = [];
function held(what, good, seen) {
  console.log(`${good ? 'ok  ' : 'FAIL'} ${what}${good || seen === undefined ? '' : `: ${seen}`}`);
  if (!good) failures.push(what);
}

async function main() {
  const { default: puppeteer } = await import(require.resolve('puppeteer-core'));
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'nmoe-gates-page-'));
  const browser = await puppeteer.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu'], userDataDir: path.join(place, 'profile') });
  try {
    for (const [name, results] of Object.entries(PAGES)) {
      const file = path.join(place, `${name}.json`);
      fs.writeFileSync(file, JSON.stringify(results));
      const html = path.join(place, `${name}.html`);
      fs.writeFileSync(html, execFileSync(program, ['report', file, '--format', 'html'], { maxBuffer: 1 << 28 }));
      for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
        for (const scheme of ['light', 'dark']) {
          await look(browser, `${name}, ${size}, ${scheme}`, html, viewport, scheme);
        }
      }
    }
  } finally {
    await browser.close();
    fs.rmSync(place, { recursive: true, force: true });
  }
  console.log(failures.length ? `${failures.length} FAILED` : 'the page is fine');
  process.exit(failures.length ? 1 : 0);
}

async function look(browser, what, html, viewport, scheme) {
  const page = await browser.newPage();
  const said = [];
  const asked = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  page.on('request', (request) => asked.push(request.url()));
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  // As a reader without scripts has it; axe-core is let in through the debugger alone.
  await page.setBypassCSP(true);
  await page.goto(`file://${html}`);
  held(`${what}: asks for nothing but itself`, asked.length === 1, asked.join(' '));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  held(`${what}: nothing is wider than the window`, wide <= 0, `${wide} px`);
  const shown = () => page.evaluate(() => [...document.querySelectorAll('.gates tbody tr')].filter((row) => row.getClientRects().length)
    .map((row) => row.className));
  const all = await shown();
  if (await page.$('#only-open')) {
    await page.click('label:has(#only-open)');
    const open = await shown();
    held(`${what}: the filter leaves what did not pass`, open.length > 0 && open.length < all.length && !open.includes('is-pass'), open.length);
    await page.click('label:has(#only-pass)');
    const passed = await shown();
    held(`${what}: the filter leaves what passed`, passed.length + open.length === all.length && passed.every((row) => row === 'is-pass'), passed.length);
    await page.focus('#all');
    await page.keyboard.press('Space');
    held(`${what}: the filter is worked by the keyboard`, (await shown()).length === all.length);
  }
  if (pictures && !what.startsWith('thousand')) {
    fs.mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: path.join(pictures, `${what.replace(/, /g, '-')}.png`), fullPage: true });
  }
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 120)}`);
  });
  held(`${what}: axe-core finds nothing`, found.length === 0, found.join('; '));
  held(`${what}: nothing is complained of`, said.length === 0, said.join(' '));
  await page.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
