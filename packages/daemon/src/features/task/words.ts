/** The words of names that are made without a model (TASK-08). */

const list = (text: string): string[] => text.trim().split(/\s+/);

/** They tell nothing about what a task is. Without apostrophes, as `dont`. */
export const STOP_WORDS = new Set(
  list(`
    about after again all also am an and any are as at be because been before being below between both but by can cannot cant could couldnt did didnt do
    does doesnt doing dont down during each every few for from further get give go had has hasnt have havent having he help her here hers him his how if
    ill im in into is isnt it its ive just kindly lets like make may me might more most must my need no nor not now of off on once only or other our out over
    own please put really same shall she should shouldnt so some such sure take than thanks that thats the their them then there these they this those to
    too try under until up us use very want was wasnt we were what when where which while who why will with would you your
  `),
);

/** Short, so that three words stay below 30 characters. */
export const ADJECTIVES = list(
  "amber brave bright calm clear cosy crisp deft early fair fleet fresh gentle glad grand keen kind light lively lucky merry mild neat noble plain proud quick quiet ready sharp silver still sunny swift tidy warm wise witty",
);
export const NOUNS = list(
  "acorn anchor aspen badger beacon birch brook canyon cedar cloud clover comet coral creek dune ember falcon fern finch fjord forest garden glade harbor hazel heron island lake lark maple meadow mesa moon moss otter pebble pine plum prairie raven reef river robin sage shore spruce stone summit thicket tide valley willow wren",
);
