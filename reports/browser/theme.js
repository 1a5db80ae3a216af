// What the report's pages do in a browser; without it they are still complete.
const root = document.documentElement;

const themes = ["auto", "light", "dark"];
const themeButton = document.querySelector("#theme");
const remembered = () => {
  try {
    return localStorage.getItem("theme") ?? "auto";
  } catch {
    return "auto"; // a page opened from a file may have no storage
  }
};
const useTheme = (theme) => {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  themeButton.textContent = `Theme: ${theme}`;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // as above
  }
};
let theme = themes.includes(remembered()) ? remembered() : "auto";
useTheme(theme);
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  useTheme(theme);
});

// What is folded away is printed too.
const folded = () => [...document.querySelectorAll("details:not([open])")];
let unfolded = [];
window.addEventListener("beforeprint", () => {
  unfolded = folded();
  for (const one of unfolded) one.open = true;
});
window.addEventListener("afterprint", () => {
  for (const one of unfolded) one.open = false;
});

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
