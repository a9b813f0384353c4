"""A visit to a page in real Chromium: what it asks of the network, what it says, and what it shows."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tfjs_node import ROOT

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None or not (ROOT / "node_modules").is_dir(),
    reason="Chromium or Node's packages are missing, so no report was opened: run `make test` as root.",
)
VISIT = """
import puppeteer from 'puppeteer-core';
const {browser, file, width, dark, paper, step} = JSON.parse(process.argv[1]);
const opened = await puppeteer.launch({executablePath: browser, args: ['--no-sandbox', '--disable-gpu']});
try {
  const page = await opened.newPage();
  const requests = [], said = [];
  page.on('request', request => requests.push(request.url().slice(0, 60)));
  page.on('console', message => said.push(message.text()));
  page.on('pageerror', error => said.push(String(error)));
  page.on('dialog', dialog => { said.push('dialog'); dialog.dismiss(); });
  await page.setViewport({width, height: 900});
  await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: dark ? 'dark' : 'light'}]);
  if (paper) await page.emulateMediaType('print');
  await page.goto('file://' + file);
  await page.waitForFunction(() => document.body.dataset.drawn === 'yes');
  let tooltip = null;
  const symbol = await page.$('#chart-path-0 .mark-symbol path');
  if (symbol && !paper) {
    await symbol.evaluate(node => node.scrollIntoView({block: 'center'}));
    await symbol.hover();
    await page.waitForSelector('#vg-tooltip-element.visible', {timeout: 5000});
    tooltip = await page.$eval('#vg-tooltip-element', node => node.innerText);
  }
  const answer = await page.evaluate(`(() => { ${step} })()`);
  console.log(JSON.stringify({answer, requests, said, tooltip}));
} finally { await opened.close(); }
"""


def visit(file: Path, step: str = "return null", **given: Any) -> dict[str, Any]:
    """What a visit to a page gives: the step's answer, what was requested and said, and a tooltip."""
    whole = {"browser": BROWSER, "file": str(file.resolve()), "width": 1280, "step": step, **given}
    command = ["node", "--input-type=module", "--eval", VISIT, "--", json.dumps(whole)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
