// Runs one call of a kernel on a processor, thread after thread. Compiled behind the kernels' source by the tests.
//
// stdin: the kernel's number, its threads, the number of arguments, then for each argument its kind and its value or, for
// memory, its length and bytes; all but the bytes are 64-bit. stdout: the bytes of the last memory.

#define ARGUMENTS 16

static size_t number_of(FILE *file) {
    unsigned long long number;
    if (fread(&number, sizeof number, 1, file) != 1) exit(2);
    return (size_t)number;
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
#define N(i) ((unsigned)number[i])
#define M(i) (memory[i])
    // Blocks are whole, so there are more threads than there is work.
    threads = (threads + 255) / 256 * 256;
    for (current_thread = 0; current_thread < threads; current_thread++) {
        switch (kernel) {
        case 0: lookup(N(0), N(1), N(2), N(3), M(4), M(5), M(6), M(7)); break;
        case 1: gather(number[0], N(1), N(2), M(3), M(4), M(5)); break;
        case 2: modulate(N(0), N(1), N(2), N(3), N(4), N(5), N(6), N(7), M(8), M(9), M(10), M(11), M(12), M(13)); break;
        case 3: add(N(0), N(1), N(2), N(3), N(4), M(5), M(6), M(7), M(8), M(9)); break;
        case 4: picture(N(0), N(1), N(2), N(3), M(4), M(5), M(6), M(7), M(8)); break;
        default: return 2;
        }
    }
    fwrite(memory[written], 1, length, stdout);
    return fflush(stdout) != 0;
}
