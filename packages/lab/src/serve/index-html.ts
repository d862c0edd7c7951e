/** The page before it has any runs. */
import { ENTRY } from "./page-files.ts";

export const INDEX: string = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>lowrank</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<script type="module" src="${ENTRY}"></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header>
<a class="home" href="#/">lowrank</a>
<p id="live" role="status">loading …</p>
</header>
<main id="main" tabindex="-1"></main>
<noscript><p>This page needs JavaScript; “lowrank ls” shows the same in a terminal.</p></noscript>
</body>
</html>
`;
