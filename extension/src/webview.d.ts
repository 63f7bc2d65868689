/** Scripts of webviews, which the bundler turns into text. */
declare module "webview:*" {
  const script: string;
  export default script;
}
