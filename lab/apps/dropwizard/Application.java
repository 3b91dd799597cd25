import com.codahale.metrics.*;
import com.codahale.metrics.json.MetricsModule;
import com.codahale.metrics.jvm.*;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import javax.servlet.http.*;
import org.eclipse.jetty.server.*;
import org.eclipse.jetty.servlet.*;

/**
 * A web shop that does nothing but measure itself with Dropwizard Metrics, and serves its registry at /metrics.
 *
 * POST /registry replaces what it measures by the list in the body: [{"kind":"timer","name":"a","values":[1,2.5]}, ...].
 * POST /freeze serves from now on what it would serve now, byte for byte, until POST /thaw.
 */
public class Application extends HttpServlet {
    private final ObjectMapper json = new ObjectMapper();
    private final ObjectMapper rendering =
        new ObjectMapper().registerModule(new MetricsModule(TimeUnit.SECONDS, TimeUnit.MILLISECONDS, false));
    private volatile MetricRegistry registry = shop();
    private volatile byte[] frozen;

    public static void main(String[] arguments) throws Exception {
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(arguments[0]));
        server.addConnector(connector);
        ServletContextHandler context = new ServletContextHandler();
        context.setMaxFormContentSize(-1);
        context.addServlet(new ServletHolder(new Application()), "/*");
        server.setHandler(context);
        server.start();
        server.join();
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        if (!request.getPathInfo().equals("/metrics")) {
            response.sendError(404);
            return;
        }
        byte[] body = frozen;
        response.setContentType("application/json");
        response.getOutputStream().write(body != null ? body : rendering.writeValueAsBytes(registry));
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        switch (request.getPathInfo()) {
            case "/registry": registry = measured(json.readTree(request.getInputStream())); break;
            case "/freeze": frozen = rendering.writeValueAsBytes(registry); break;
            case "/thaw": frozen = null; break;
            default: response.sendError(404);
        }
    }

    private MetricRegistry measured(JsonNode metrics) {
        MetricRegistry registry = new MetricRegistry();
        for (JsonNode metric : metrics) {
            String name = metric.get("name").asText();
            JsonNode values = metric.path("values");
            switch (metric.get("kind").asText()) {
                case "timer":
                    Timer timer = registry.timer(name);
                    values.forEach(ms -> timer.update((long) (ms.asDouble() * 1e6), TimeUnit.NANOSECONDS));
                    break;
                case "histogram":
                    Histogram histogram = registry.histogram(name);
                    values.forEach(value -> histogram.update(value.asLong()));
                    break;
                case "meter": registry.meter(name).mark(metric.path("count").asLong()); break;
                case "counter": registry.counter(name).inc(metric.path("count").asLong()); break;
                case "gauge": registry.register(name, gauge(metric)); break;
                default: throw new IllegalArgumentException("no such kind: " + metric);
            }
        }
        return registry;
    }

    /** {"value": any JSON}, {"double": "NaN"} for what JSON cannot write, or {"error": "why"} for a gauge that throws. */
    private Gauge<Object> gauge(JsonNode metric) {
        if (metric.has("error")) {
            return () -> { throw new IllegalStateException(metric.get("error").asText()); };
        }
        Object value = metric.has("double")
            ? Double.valueOf(metric.get("double").asText())
            : json.convertValue(metric.path("value"), Object.class);
        return () -> value;
    }

    /** What it measures from the start: every kind of metric, and the Java virtual machine's own. */
    private static MetricRegistry shop() {
        MetricRegistry registry = new MetricRegistry();
        List<String> carts = new ArrayList<>(List.of("anna", "ben"));
        registry.registerAll(prefixed("jvm.memory", new MemoryUsageGaugeSet()));
        registry.registerAll(prefixed("jvm.gc", new GarbageCollectorMetricSet()));
        registry.registerAll(prefixed("jvm.threads", new ThreadStatesGaugeSet()));
        registry.register("shop.carts.open", (Gauge<Integer>) carts::size);
        registry.register("shop.carts.owners", (Gauge<List<String>>) () -> carts);
        registry.register("shop.payment.reachable", (Gauge<Boolean>) () -> true);
        registry.register("shop.release", (Gauge<String>) () -> "2026.11-rc1");
        registry.register("shop.voucher", (Gauge<Object>) () -> null);
        Counter sessions = registry.counter("shop.sessions");
        Meter requests = registry.meter("shop.requests");
        Histogram basket = registry.histogram("shop.basket.items");
        Timer checkout = registry.timer("shop.checkout");
        Thread customers = new Thread(() -> {
            ThreadLocalRandom random = ThreadLocalRandom.current();
            while (true) {
                sessions.inc(random.nextInt(-2, 4));
                requests.mark(random.nextInt(1, 20));
                basket.update(random.nextInt(1, 12));
                checkout.update(random.nextLong(5_000, 250_000), TimeUnit.MICROSECONDS);
                try { Thread.sleep(100); } catch (InterruptedException end) { return; }
            }
        });
        customers.setDaemon(true);
        customers.start();
        return registry;
    }

    private static MetricSet prefixed(String prefix, MetricSet metrics) {
        MetricRegistry named = new MetricRegistry();
        metrics.getMetrics().forEach((name, metric) -> named.register(MetricRegistry.name(prefix, name), metric));
        return named;
    }
}
