// What the page knows of each language: its file, its warnings, and a program to begin with.

const C_WARNINGS = {
  "-Wall": "the usual ones",
  "-Wextra": "more of them",
  "-Wpedantic": "what the standard does not allow",
  "-Wconversion": "values that may change",
  "-Werror": "each warning is an error",
};

export const LANGUAGES = {
  "c++": {
    title: "C++",
    file: "main.cpp",
    indent: "    ",
    warnings: C_WARNINGS,
    example: `#include <iostream>
#include <map>
#include <string>

int main() {
    const std::map<std::string, int> compilers{
        {"gcc", 1987},
        {"clang", 2007},
    };

    for (const auto& [name, year] : compilers) {
        std::cout << name << " has compiled since " << year << '\\n';
    }
}
`,
  },
  c: {
    title: "C",
    file: "main.c",
    indent: "    ",
    warnings: C_WARNINGS,
    example: `#include <stdio.h>

struct compiler {
    const char *name;
    int since;
};

int main(void) {
    const struct compiler compilers[] = {
        {.name = "gcc", .since = 1987},
        {.name = "clang", .since = 2007},
    };

    for (int i = 0; i < 2; i++) {
        const struct compiler *each = &compilers[i];
        printf("%s has compiled since %d\\n", each->name, each->since);
    }
}
`,
  },
  go: {
    title: "Go",
    file: "main.go",
    indent: "\t",
    warnings: {},
    example: `package main

import "fmt"

func main() {
	compilers := []struct {
		name  string
		since int
	}{
		{"gc", 2009},
		{"gccgo", 2009},
	}

	for _, each := range compilers {
		fmt.Printf("%s has compiled since %d\\n", each.name, each.since)
	}
}
`,
  },
  rust: {
    title: "Rust",
    file: "main.rs",
    indent: "    ",
    warnings: { "-Werror": "each warning is an error" },
    example: `struct Compiler {
    name: &'static str,
    since: u16,
}

fn main() {
    let compilers = [
        Compiler { name: "rustc", since: 2011 },
        Compiler { name: "gccrs", since: 2014 },
    ];

    for Compiler { name, since } in &compilers {
        println!("{name} has compiled since {since}");
    }
}
`,
  },
};
