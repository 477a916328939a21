// Runs one call of a kernel on a processor, thread after thread. Compiled behind the kernels' source, with a case of the
// switch for each of them.
//
// stdin: the kernel's number, its threads, the number of arguments, then for each argument its kind and its value or, for
// memory, its length and bytes; all but the bytes are 64-bit. stdout: the bytes of the last memory.

#define ARGUMENTS 16

static size_t number_of(FILE *file) {
    unsigned long long number;
    if (fread(&number, sizeof number, 1, file) != 1) exit(2);
    return (size_t)number;
}

static float float_of(size_t bits) {
    union {
        unsigned bits;
        float number;
    } both;
    both.bits = (unsigned)bits;
    return both.number;
}

int main(void) {
    enum { NUMBER, MEMORY };
    size_t kernel = number_of(stdin), threads = number_of(stdin), count = number_of(stdin);
    size_t number[ARGUMENTS] = {0}, written = 0, length = 0;
    void *memory[ARGUMENTS] = {0};
    if (count > ARGUMENTS) return 2;
    for (size_t i = 0; i < count; i++) {
        size_t kind = number_of(stdin), value = number_of(stdin);
        number[i] = value;
        if (kind != MEMORY) continue;
        // Of the very length, so that the address sanitizer sees one step too far.
        memory[i] = malloc(value);
        if (fread(memory[i], 1, value, stdin) != value) return 2;
        written = i, length = value;
    }
    // Blocks are whole, so there are more threads than there is work.
    threads = (threads + 255) / 256 * 256;
    for (current_thread = 0; current_thread < threads; current_thread++) {
        switch (kernel) {
            CASES
        default: return 2;
        }
    }
    fwrite(memory[written], 1, length, stdout);
    return fflush(stdout) != 0;
}
