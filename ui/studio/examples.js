// The ready examples: each fills the page at one press, and spends nothing.
const { h } = window.kontext;
element.querySelector(".ready").append(...props.examples.map((example) =>
  h("button", { type: "button", onclick: () => trigger("example", { example: example.id }) },
    h("span", { class: "thumbs" }, example.pictures.map((source) => h("img", { src: source, alt: "", loading: "lazy", width: 96, height: 72 }))),
    h("b", {}, example.name))));
