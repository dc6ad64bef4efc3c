# Services: back ends that answer rpc methods over ZeroMQ. The ones of docs/examples are what runs here.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use Test::More;
use Time::HiRes qw(time);
use Weft::Test;

my $t        = Weft::Test->new;
my $key      = $t->key_file;
my $examples = "$FindBin::Bin/../docs/examples";
my $proto    = "$FindBin::Bin/../proto";
my $socket   = $t->prefix . '/services.sock';
my $http     = $t->port;
my $node     = $t->node(
    'a',
    workers    => 2,
    location   => "weft_ticket key=$key; weft_rate off;",
    weftd_yaml => "http: 127.0.0.1:$http\nservices: {listen: 'ipc://$socket', mode: \"0600\", timeout: 2s}\n",
);
my $generated = $t->prefix . '/generated';
mkdir $generated;
system('protoc', "--proto_path=$proto", "--python_out=$generated", 'weft/v1/service.proto') == 0 or die "protoc fails\n";

sub metric {
    my ($name) = @_;
    my ($value) = HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$http/metrics")->{content} =~ /^\Q$name\E (\S+)$/m;
    return $value // 0;
}
sub rpc { my ($client, $method, $params) = @_; return $client->call('rpc', method => $method, params => $params) }

# A Python service, registered.
sub service {
    my ($name, $capacity, %more) = @_;
    my $service = $t->back_end(
        $name,
        command     => [ "$examples/service.py", "ipc://$socket", 'sums', $capacity // 16 ],
        environment => { PYTHONPATH => $generated },
        %more,
    );
    wait_for { $service->log_text =~ /registered at node a/ } or die "not registered: " . $service->log_text;
    return $service;
}

check 'a method that nobody answers is not found' => sub {
    is(rpc($node->client, 'sum.add', [ 1, 2 ])->{payload}{code}, 4018, 'the code says so');
};

my $one = service('one');

check 'a service answers the methods that it registered' => sub {
    my $client = $node->client(sub => 'ann');
    is_deeply(rpc($client, 'sum.add', [ 1, 2, 39 ])->{payload}{result}, { sum => 42, user => 'ann' }, 'the result comes back');
    is(rpc($client, 'product.add', [1])->{payload}{code}, 4018, 'others are still not found');
    my $error = rpc($client, 'sum.unknown')->{payload};
    is_deeply([ @$error{qw(code message)} ], [ 4100, 'no method sum.unknown' ], 'its errors come as they are');
    is(rpc($client, 'weft.echo', 5)->{payload}{result}, 5, 'built-in methods stay weftd\'s');
    is((stat $socket)[2] & 0777, 0600, 'its socket has the mode of the configuration');
};

my $two = service('two');

check 'calls go to the service with the least to do' => sub {
    my @clients = map { $node->client } 1 .. 2;
    $clients[0]->send_json({ type => 'rpc', id => 'slow', payload => { method => 'sum.slow', params => 1 } });
    ok(wait_for { metric('weftd_service_outstanding{service="sums"}') == 1 }, 'one is busy');
    my $began = time;
    is(rpc($clients[1], 'sum.add', [$_])->{payload}{result}{sum}, $_, "call $_ is answered by the other") for 1 .. 5;
    is($clients[0]->next_message->{payload}{result}, 'slept', 'the slow one, too');
    is(metric('weftd_services{service="sums"}'), 2, 'metrics count them');
};

check 'a service that takes too long: its caller is told, and a late answer is nobody\'s' => sub {
    my $client = $node->client;
    is(rpc($client, 'sum.slow', 3)->{payload}{code}, 4019, 'the code says so');
    ok(wait_for { metric('weftd_service_late_answers_total') == 1 }, 'the late answer is counted');
    is(rpc($client, 'sum.add', [3])->{payload}{result}{sum}, 3, 'and the next is right');
};

check 'a caller that is gone: nobody minds' => sub {
    my $client = $node->client;
    $client->send_json({ type => 'rpc', id => 'x', payload => { method => 'sum.slow', params => 1 } });
    ok(wait_for { metric('weftd_rpc_outstanding') == 1 }, 'it is under way');
    $client->hang_up;
    ok(wait_for { metric('weftd_rpc_outstanding') == 0 }, 'and over');
};

check 'a service that is killed: its calls fail, others go to those that live' => sub {
    my $client = $node->client;
    $client->send_json({ type => 'rpc', id => "c$_", payload => { method => 'sum.slow', params => 1.5 } }) for 1, 2;
    ok(wait_for { metric('weftd_service_outstanding{service="sums"}') == 2 }, 'each has one');
    $two->crash;
    my %answers = map { my $m = $client->next_message; ($m->{payload}{code} // $m->{payload}{result}) => $m } 1, 2;
    ok($answers{slept}, 'the one that lives answers');
    is($answers{4017}{payload}{retry_after_ms}, 1000, 'the call of the other fails, with a time to try again');
    like($answers{4017}{payload}{message}, qr/may have been carried out/, 'honestly');
    is(rpc($client, 'sum.add', [4])->{payload}{result}{sum}, 4, 'and there is one left');
};

check 'a service that ends in order lets go first' => sub {
    my $three = service('three');
    ok(wait_for { metric('weftd_services{service="sums"}') == 2 }, 'it is there');
    my $lost = metric('weftd_services_lost_total');
    is($three->stop, 0, 'it says goodbye');
    ok(wait_for { metric('weftd_services{service="sums"}') == 1 }, 'and is known to be gone');
    is(metric('weftd_services_lost_total'), $lost, 'not as lost');
};

check 'a capacity that is full is told at once' => sub {
    my $client = $node->client;
    $one->stop;
    my $small = service('small', 2);
    # In one go: none is to be answered before the last is sent.
    $client->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"rpc","id":"c$_","payload":{"method":"sum.slow","params":0.5}})) } 1 .. 4);
    my %seen;
    $seen{ $_->{payload}{code} // 'ok' }++ for map { $client->next_message } 1 .. 4;
    is_deeply(\%seen, { ok => 2, 4017 => 2 }, 'two are taken, two told to come back');
    is(metric('weftd_service_capacity{service="sums"}'), 2, 'metrics show it');
};

check 'a service finds a weftd that was restarted' => sub {
    my $client = $node->client;
    $node->weftd->crash;
    $node->weftd->start;
    ok(wait_for { rpc($client, 'sum.add', [5])->{type} eq 'rpc_response' }, 'without being told');
};

check 'what makes no sense is refused' => sub {
    my $bad = $t->back_end('bad', command => [ '/usr/bin/python3', '-c', <<'PYTHON', "ipc://$socket" ], environment => { PYTHONPATH => $generated });
import sys, zmq
from weft.v1.service_pb2 import ServiceFrame
socket = zmq.Context.instance().socket(zmq.DEALER)
socket.connect(sys.argv[1])
socket.send(b"\xff\xff\xff")
socket.send_multipart([b"a", b"b"])
for wanted in [dict(name="x", methods=["**x"]), dict(name="x", methods=["weft.ban"]), dict(name="", methods=["a"]), dict(name="x")]:
    socket.send(ServiceFrame(register=wanted).SerializeToString())
    print(ServiceFrame.FromString(socket.recv()).rejected.message)
socket.send(ServiceFrame(answer={"id": 99, "result": b"1"}).SerializeToString())
print(ServiceFrame.FromString(socket.recv()).WhichOneof("body"))
PYTHON
    ok(wait_for { !$bad->running }, 'it gets its answers');
    is(scalar(split /\n/, $bad->log_text), 5, 'five of them') or diag($bad->log_text);
    like($bad->log_text, qr/goodbye\s*$/, 'a stranger is told to register');
    is(rpc($node->client, 'sum.add', [6])->{payload}{result}{sum}, 6, 'and the others go on');
};

check 'a service in C++' => sub {
    my $binary = "$Weft::Test::BUILD/weft_example_service";
    plan skip_all => 'the example in C++ is not built (scripts/build.sh all)' unless -x $binary;
    my $service = $t->back_end('cxx', command => [ $binary, "ipc://$socket" ]);
    ok(wait_for { (rpc($node->client, 'greet.hello')->{payload}{result} // '') eq 'hello' }, 'answers');
    $service->crash;
};

$t->finish;
done_testing;
