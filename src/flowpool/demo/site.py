"""The look of the demo's site: what surrounds a document and must not be taken for it.

Knows no document. The menus, banners, styles and scripts are there to be stripped again.
"""

from __future__ import annotations

from string import Template

MENU = (
    ("Home", "./"),
    ("Latest", "./?sort=latest"),
    ("Countries", "./?topic=countries"),
    ("History", "./?topic=history"),
    ("Computing", "./?topic=computing"),
    ("Databases", "./?topic=databases"),
    ("Folklore", "./?topic=folklore"),
    ("Maps", "./?view=maps"),
    ("Podcasts", "./?view=podcasts"),
    ("Newsletter", "./?view=newsletter"),
    ("About us", "./?view=about"),
    ("Sign in", "./?view=sign-in"),
)

SHELL = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title | The Reading Room</title>
<meta name="description" content="$description">
<link rel="canonical" href="$name">
<script type="application/ld+json">$data</script>
<style>
:root { --ink: #1d2327; --paper: #fdfcf9; --line: #ddd6c8; --accent: #8a3b12; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 17px/1.6 Georgia, serif; }
a { color: var(--accent); }
header, footer { padding: 1rem 2rem; border-bottom: 1px solid var(--line); }
footer { border: 0; border-top: 1px solid var(--line); font-size: .85rem; }
.menu { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: 0; padding: 0; }
.menu li { list-style: none; }
.columns { display: grid; grid-template-columns: minmax(0, 42rem) 16rem; gap: 3rem; padding: 2rem; }
.cookies { position: fixed; inset: auto 0 0; padding: 1rem 2rem; color: #fff; background: #222; }
.cookies[hidden] { display: none; }
.card { margin-bottom: 1rem; list-style: none; }
.card small { display: block; color: #666; }
aside ul { padding: 0; }
table { border-collapse: collapse; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
pre { overflow-x: auto; padding: 1rem; background: #f3efe6; font-size: .85rem; }
@media (max-width: 60rem) { .columns { grid-template-columns: 1fr; } }
</style>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<div class="cookies cookie-banner" role="dialog" aria-label="Cookies">
<p>We use cookies to remember your preferences and to count visits. You can accept all cookies,
or only those the site can't do without.</p>
<button type="button" data-consent="all">Accept all</button>
<button type="button" data-consent="needed">Only necessary</button>
</div>
<header class="site-header">
<a class="brand" href="./">The Reading Room</a>
<form class="search" action="./" role="search">
<input type="search" name="q" placeholder="Search 200 articles" aria-label="Search">
<button type="submit">Search</button>
</form>
<nav class="navigation" aria-label="Main">
<ul class="menu">
$menu
</ul>
</nav>
</header>
<nav class="breadcrumb" aria-label="Breadcrumb"><a href="./">Home</a> / <span>$title</span></nav>
<div class="columns">
<main id="content">
<article>
$article
</article>
<div class="share social">
<span>Share this page:</span>
<a href="./?share=mail">Mail</a> <a href="./?share=link">Copy link</a>
</div>
</main>
<aside class="sidebar related" aria-label="Related">
<h2>Related articles</h2>
<ul>
$related
</ul>
<section class="newsletter">
<h2>One letter a week</h2>
<p>The best of the Reading Room in your inbox every Friday. No spam, and you can leave any time.</p>
<form action="./"><input type="email" name="mail" placeholder="Your address">
<button type="submit">Subscribe</button></form>
</section>
</aside>
</div>
<footer class="site-footer">
<ul class="menu">
<li><a href="./?view=terms">Terms of use</a></li>
<li><a href="./?view=privacy">Privacy policy</a></li>
<li><a href="./?view=cookies">Cookie settings</a></li>
<li><a href="./?view=contact">Contact</a></li>
</ul>
<p>The Reading Room is a demonstration. All articles are in the public domain. No warranty is given
that they are complete, current or right.</p>
</footer>
<script>
(function () {
  "use strict";
  var banner = document.querySelector(".cookies");
  if (localStorage.getItem("consent")) { banner.hidden = true; }
  banner.addEventListener("click", function (event) {
    var choice = event.target.getAttribute("data-consent");
    if (choice) { localStorage.setItem("consent", choice); banner.hidden = true; }
  });
  window.visits = window.visits || [];
  window.visits.push({ page: "$name", at: Date.now() });
})();
</script>
</body>
</html>
""")
