// C++ with its library: containers, algorithms, streams, virtual functions, exceptions.
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

struct shape {
    virtual ~shape() = default;
    virtual double area() const = 0;
};

struct circle final : shape {
    double radius;
    explicit circle(double radius) : radius(radius) {}
    double area() const override { return 3.141592653589793 * radius * radius; }
};

struct square final : shape {
    double side;
    explicit square(double side) : side(side)
    {
        if (side < 0)
            throw std::invalid_argument("a negative side");
    }
    double area() const override { return side * side; }
};

int unwound;

struct counts {
    ~counts() { unwound++; }
};

double deep(int depth)
{
    counts here;
    if (!depth)
        return square(-1).area();
    return deep(depth - 1) + 1;
}

}  // namespace

int main()
{
    std::mt19937_64 random(42);
    std::vector<std::uint64_t> numbers(2000);
    std::generate(numbers.begin(), numbers.end(), std::ref(random));
    std::sort(numbers.begin(), numbers.end());
    auto sum_of_all = std::accumulate(numbers.begin(), numbers.end(), std::uint64_t{0});
    std::cout << std::hex << numbers.front() << ' ' << numbers[1000] << ' ' << sum_of_all
              << std::dec << '\n';

    std::istringstream text("the guest walks the table and the table walks the guest");
    std::map<std::string, int> words;
    for (std::string word; text >> word;)
        words[word]++;
    for (const auto &[word, n] : words)
        std::cout << word << '=' << n << ' ';
    std::unordered_map<int, double> roots;
    for (int i = 0; i < 100; i++)
        roots[i * 37 % 101] = std::sqrt(i);
    double sum = 0;
    for (int i = 0; i < 101; i++)
        sum += roots.count(i) ? roots[i] : 0;
    std::cout << '\n' << std::setprecision(15) << sum << '\n';

    std::vector<std::unique_ptr<shape>> shapes;
    shapes.push_back(std::make_unique<circle>(1.5));
    shapes.push_back(std::make_unique<square>(2));
    for (const auto &one : shapes)
        std::cout << std::fixed << std::setprecision(6) << one->area() << ' ';
    std::complex<double> turn = std::polar(1.0, 0.5), power = 1;
    for (int i = 0; i < 12; i++)
        power *= turn;
    std::cout << power << '\n';

    try {
        std::cout << deep(20) << '\n';
    } catch (const std::invalid_argument &error) {
        std::cout << error.what() << ", " << unwound << " frames\n";
    }
    return unwound != 21;
}
