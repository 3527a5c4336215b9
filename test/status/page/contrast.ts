import type { Page } from 'playwright-core'

/** In the browser: the contrast of each text with what it stands on, by the formula of WCAG 2.2. */
const script = `(() => {
  const channels = color => color.match(/[\\d.]+/g).map(Number)
  const light = color => {
    const [r, g, b] = channels(color).slice(0, 3).map(value => value / 255).map(s => s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const isSolid = color => color.startsWith('rgb(')
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const box = at.tagName === 'g' && at.querySelector('rect')
      const color = box ? getComputedStyle(box).fill : getComputedStyle(at).backgroundColor
      if (isSolid(color)) return color
    }
    throw new Error('nothing is behind ' + element.outerHTML)
  }
  const texts = [...document.querySelectorAll('body *')].filter(element =>
    element.checkVisibility() && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim() !== ''))
  if (texts.length < 50) throw new Error('only ' + texts.length + ' texts')
  return texts.flatMap(element => {
    const style = getComputedStyle(element)
    const color = element instanceof SVGElement ? style.fill : style.color
    const [a, b] = [light(color), light(behind(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    return ratio >= 4.5 ? [] : [element.textContent.trim() + ': ' + color + ' on ' + behind(element) + ', ' + ratio.toFixed(2)]
  })
})()`

/** Texts that are harder to read than WCAG 2.2 AA allows, with their colours. */
export const faintTexts = (page: Page): Promise<readonly string[]> => page.evaluate(script)
