/* A JSON parser: a text becomes a tree, the tree a text again, and damaged texts are refused. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { NIL, FALSE, TRUE, NUMBER, STRING, ARRAY, OBJECT };
enum { DEPTH = 64 };

struct value {
    enum kind kind;
    double number;
    char *text;
    size_t n;
    struct value **items;   /* of an object: names and values in turn */
};

struct parser {
    const char *at;
    const char *error;
    int depth;
};

static struct value *parse_value(struct parser *parser);

static void *grow(void *old, size_t n)
{
    void *found = realloc(old, n);
    if (!found)
        abort();
    return found;
}

static void release(struct value *value)
{
    if (!value)
        return;
    for (size_t i = 0; i < value->n && value->kind >= ARRAY; i++)
        release(value->items[i]);
    free(value->items);
    free(value->text);
    free(value);
}

static void skip(struct parser *parser)
{
    while (*parser->at && strchr(" \t\r\n", *parser->at))
        parser->at++;
}

static struct value *refuse(struct parser *parser, const char *why)
{
    if (!parser->error)
        parser->error = why;
    return NULL;
}

static struct value *make(enum kind kind)
{
    struct value *value = grow(NULL, sizeof *value);
    *value = (struct value){.kind = kind};
    return value;
}

static size_t put_utf8(char *into, uint32_t point)
{
    if (point < 0x80)
        return (size_t)(*into = (char)point, 1);
    size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = n; --i > 0; point >>= 6)
        into[i] = (char)(0x80 | (point & 0x3f));
    into[0] = (char)((0xf00 >> n & 0xff) | point);
    return n;
}

static int read_hex(struct parser *parser, uint32_t *point)
{
    *point = 0;
    for (int i = 0; i < 4; i++) {
        if (!isxdigit((unsigned char)*parser->at))
            return 0;
        char digit = *parser->at++;
        *point = *point << 4 | (uint32_t)(isdigit((unsigned char)digit) ? digit - '0'
                                                                         : (digit | 32) - 'a' + 10);
    }
    return 1;
}

static struct value *parse_string(struct parser *parser)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    struct value *value = make(STRING);
    value->text = grow(NULL, strlen(parser->at) + 1);
    parser->at++;
    while (*parser->at != '"') {
        uint32_t point = (unsigned char)*parser->at++, low;
        if (point < 0x20) {
            release(value);
            return refuse(parser, "a string without an end");
        }
        if (point != '\\') {
            value->text[value->n++] = (char)point;
            continue;
        }
        const char *escape = *parser->at ? strchr(escapes, *parser->at) : NULL;
        if (escape) {
            parser->at++;
            value->text[value->n++] = meant[escape - escapes];
            continue;
        }
        int good = *parser->at++ == 'u' && read_hex(parser, &point);
        if (good && point >> 10 == 0xd800 >> 10) {
            good = parser->at[0] == '\\' && parser->at[1] == 'u';
            parser->at += good ? 2 : 0;
            good = good && read_hex(parser, &low) && low >> 10 == 0xdc00 >> 10;
            point = good ? 0x10000 + ((point & 0x3ff) << 10 | (low & 0x3ff)) : 0;
        }
        if (!good) {
            release(value);
            return refuse(parser, "an escape that is none");
        }
        value->n += put_utf8(value->text + value->n, point);
    }
    parser->at++;
    value->text[value->n] = 0;
    return value;
}

static struct value *parse_number(struct parser *parser)
{
    const char *at = parser->at;
    at += *at == '-';
    if (*at == '0' ? isdigit((unsigned char)at[1]) : !isdigit((unsigned char)*at))
        return refuse(parser, "a number that is none");
    char *end;
    struct value *value = make(NUMBER);
    value->number = strtod(parser->at, &end);
    parser->at = end;
    return value;
}

static struct value *parse_items(struct parser *parser, enum kind kind)
{
    char close = kind == ARRAY ? ']' : '}';
    struct value *value = make(kind), *item;
    parser->at++;
    skip(parser);
    while (*parser->at != close || value->n) {
        skip(parser);
        if (kind == OBJECT) {
            item = *parser->at == '"' ? parse_string(parser) : refuse(parser, "no name");
            if (!item)
                goto failed;
            value->items = grow(value->items, (value->n + 2) * sizeof item);
            value->items[value->n++] = item;
            skip(parser);
            if (*parser->at++ != ':') {
                refuse(parser, "no colon");
                goto failed;
            }
        }
        if (!(item = parse_value(parser)))
            goto failed;
        value->items = grow(value->items, (value->n + 2) * sizeof item);
        value->items[value->n++] = item;
        skip(parser);
        if (*parser->at == close)
            break;
        if (*parser->at++ != ',') {
            refuse(parser, "no comma");
            goto failed;
        }
    }
    parser->at++;
    return value;
failed:
    release(value);
    return NULL;
}

static struct value *parse_value(struct parser *parser)
{
    static const char *const words[] = {"null", "false", "true"};
    struct value *value;
    skip(parser);
    for (int i = 0; i < 3; i++)
        if (!strncmp(parser->at, words[i], strlen(words[i]))) {
            parser->at += strlen(words[i]);
            return make((enum kind)i);
        }
    switch (*parser->at) {
    case '"':
        return parse_string(parser);
    case '[':
    case '{':
        if (++parser->depth > DEPTH)
            return refuse(parser, "too deep");
        value = parse_items(parser, *parser->at == '[' ? ARRAY : OBJECT);
        parser->depth--;
        return value;
    default:
        return parse_number(parser);
    }
}

static struct value *parse(const char *text, const char **error)
{
    struct parser parser = {text, NULL, 0};
    struct value *value = parse_value(&parser);
    skip(&parser);
    if (value && *parser.at) {
        release(value);
        value = refuse(&parser, "something behind it");
    }
    *error = parser.error;
    return value;
}

/* --- and back ---------------------------------------------------------------------------- */

struct text {
    char *bytes;
    size_t n, room;
};

static void say(struct text *text, const char *format, ...)
{
    va_list list;
    if (text->n + 64 > text->room)
        text->bytes = grow(text->bytes, text->room = 2 * text->room + 256);
    va_start(list, format);
    text->n += (size_t)vsnprintf(text->bytes + text->n, text->room - text->n, format, list);
    va_end(list);
}

static void write_value(struct text *text, const struct value *value)
{
    static const char *const words[] = {"null", "false", "true"};
    if (value->kind <= TRUE) {
        say(text, "%s", words[value->kind]);
    } else if (value->kind == NUMBER) {
        say(text, "%.17g", value->number);
    } else if (value->kind == STRING) {
        say(text, "\"");
        for (size_t i = 0; i < value->n; i++) {
            unsigned char byte = (unsigned char)value->text[i];
            say(text, byte < 0x20 ? "\\u%04x" : byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
        }
        say(text, "\"");
    } else {
        int object = value->kind == OBJECT;
        say(text, object ? "{" : "[");
        for (size_t i = 0; i < value->n; i++) {
            say(text, !i ? "" : object && i % 2 ? ":" : ",");
            write_value(text, value->items[i]);
        }
        say(text, object ? "}" : "]");
    }
}

static double total(const struct value *value)
{
    double sum = value->kind == NUMBER ? value->number : 0;
    for (size_t i = 0; value->kind >= ARRAY && i < value->n; i++)
        sum += total(value->items[i]);
    return sum;
}

/* --- texts ------------------------------------------------------------------------------- */

static const char small[] =
    " {\"name\": \"gr\\u00f6\\u00dfe \\ud83d\\ude00\", \"on\":true , \"off\": false,\"no\":null,\n"
    "  \"numbers\": [0, -0, 1.5, -2e-3, 1E40, 123456789012345678901234567890, 5e-324, 0.1],\n"
    "  \"nested\": [[], {}, [[[{\"deep\": [\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]}]]]]}\t";

static const char *const damaged[] = {
    "", "{", "[1,", "[1 2]", "{\"a\" 1}", "{1: 2}", "\"\\x\"", "\"abc", "01", "-", "tru", "1 2",
    "\"\\ud800\"", "[1,]", "{\"a\":1,}", "nul", "[\"\\u12\"]", "+1", ".5",
};

static char *large(void)
{
    struct text text = {0};
    uint32_t seed = 3;
    say(&text, "[");
    for (int i = 0; i < 400; i++) {
        seed = seed * 1664525u + 1013904223u;
        say(&text, "%s{\"id\": %d, \"x\": %.17g, ", i ? ", " : "", i, (seed >> 4) / 1048576.0);
        say(&text, "\"tags\": [\"%x\", \"%o\"], \"ok\": %s}", seed >> 8, seed >> 20,
            seed >> 31 ? "true" : "false");
    }
    say(&text, "]");
    return text.bytes;
}

static int round_trip(const char *source, int print)
{
    const char *error;
    struct text first = {0}, second = {0};
    struct value *value = parse(source, &error);
    if (!value) {
        printf("refused: %s\n", error);
        return 1;
    }
    write_value(&first, value);
    double sum = total(value);
    release(value);
    if ((value = parse(first.bytes, &error))) {
        write_value(&second, value);
        release(value);
    }
    int same = second.bytes && !strcmp(first.bytes, second.bytes);
    uint64_t digest = 0;
    for (size_t i = 0; i < first.n; i++)
        digest = digest * 31 + (unsigned char)first.bytes[i];
    printf("%zu bytes %016" PRIx64 " sum %.17g%s%s\n", first.n, digest, sum,
           same ? ", and again" : "", print ? "" : "; large");
    if (print)
        puts(first.bytes);
    free(first.bytes);
    free(second.bytes);
    return 0;
}

int main(void)
{
    int wrong = round_trip(small, 1);
    char *text = large();
    wrong += round_trip(text, 0);
    free(text);
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        const char *error = NULL;
        struct value *value = parse(damaged[i], &error);
        wrong += value != NULL;
        printf("%s%s", error ? error : "accepted", i % 4 == 3 ? "\n" : "; ");
        release(value);
    }
    printf("\njson: %d wrong\n", wrong);
    return wrong;
}
