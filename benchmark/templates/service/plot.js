let draws = 1;
addEventListener("message", async event => {
  if (event.source !== parent) return;
  const figure = JSON.parse(event.data);
  await Plotly.react("plot", figure.data, figure.layout);
  draws++;
  parent.postMessage({draws}, "*");
});
if (parent !== window) addEventListener("load", () => parent.postMessage({draws}, "*"));
